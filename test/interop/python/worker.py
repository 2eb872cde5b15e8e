"""Tasks of Python for the graphs of the test. Each appends a line to a file, so that the test can count what ran."""

import asyncio
import os
from typing import Any

from place import make_broker

broker = make_broker(wait_time_seconds=1, max_number_of_messages=10)


def ran(name: str) -> None:
    with open(os.environ["INTEROP_LOG"], "a") as file:
        file.write(name + "\n")


@broker.task(task_name="python.double")
async def double(numbers: list[int]) -> list[int]:
    ran("double")
    return [2 * number for number in numbers]


@broker.task(task_name="python.echo")
async def echo(*args: Any, **kwargs: Any) -> Any:
    ran("echo")
    return {"args": args, "kwargs": kwargs}


@broker.task(task_name="python.fail")
async def fail(why: str) -> None:
    ran("fail")
    raise LookupError(why)


@broker.task(task_name="python.sleep")
async def sleep(seconds: float) -> str:
    ran("sleep")
    await asyncio.sleep(seconds)
    return "slept"
