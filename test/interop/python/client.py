"""Sends the calls that stand in the standard input, one a line, and prints what each came to.

A call: {"task", "args", "kwargs", "labels", "times", "kind"}; `times`: how often the same message is sent; `kind` names a value of Python that JSON has
no word for, which is sent as the one argument. An answer: {"index", "value"} or {"index", "error", "message"} or {"index", "timeout": true}.
"""

import asyncio
import datetime as dt
import decimal
import json
import sys
import uuid
from typing import Any

from taskiq.exceptions import TaskiqResultTimeoutError
from taskiq.kicker import AsyncKicker

from place import make_broker

VALUES: dict[str, Any] = {
    "datetime": dt.datetime(2026, 11, 21, 6, 30, 0, 5000, tzinfo=dt.timezone.utc),
    "date": dt.date(2026, 11, 21),
    "timedelta": dt.timedelta(seconds=90.5),
    "uuid": uuid.UUID(int=7),
    "decimal": decimal.Decimal("1.50"),
    "tuple": (1, "two", None),
    "set": {3},
    "bytes": "ü".encode(),
    "nan": float("nan"),
}


async def main() -> None:
    broker = make_broker(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
    await broker.startup()
    calls = [json.loads(line) for line in sys.stdin if line.strip()]
    room = asyncio.Semaphore(50)

    async def call(index: int, wanted: dict[str, Any]) -> None:
        args = [VALUES[wanted["kind"]]] if "kind" in wanted else wanted.get("args", [])
        task_id = uuid.uuid4().hex
        async with room:
            for _ in range(wanted.get("times", 1)):
                kicker = AsyncKicker(task_name=wanted["task"], broker=broker, labels=wanted.get("labels", {}))
                task = await kicker.with_task_id(task_id).kiq(*args, **wanted.get("kwargs", {}))
            answer: dict[str, Any] = {"index": index, "task_id": task_id}
            try:
                result = await task.wait_result(check_interval=0.2, timeout=90)
                answer["labels"] = result.labels
                try:
                    result.raise_for_error()
                    answer["value"] = result.return_value
                except Exception as error:
                    answer |= {"error": type(error).__name__, "message": str(error)}
            except TaskiqResultTimeoutError:
                answer["timeout"] = True
        print(json.dumps(answer), flush=True)

    await asyncio.gather(*(call(index, wanted) for index, wanted in enumerate(calls)))
    await broker.shutdown()


asyncio.run(main())
