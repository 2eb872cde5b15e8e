"""A stub of the API: what it is asked is kept, what it answers is scripted."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dagster_taskiq.client import TaskiqClient
from dagster_taskiq.config import ApiSettings

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | None


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]


@dataclass
class StubApi:
    """`answer` gets each request; None closes the connection without an answer."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], Answer] = lambda _: (404, {"code": "route_not_found", "detail": "nothing here"})

    def script(self, *answers: Answer) -> None:
        """These in turn; the last one for all that follows."""
        left = list(answers)
        self.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def api() -> Iterator[StubApi]:
    stub = StubApi()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            text = self.rfile.read(length)
            parts = urlsplit(self.path)
            asked = Asked(self.command, parts.path, parse_qs(parts.query), json.loads(text) if text else None, {k.lower(): v for k, v in self.headers.items()})
            stub.asked.append(asked)
            answer = stub.answer(asked)
            if answer is None:
                self.close_connection = True
                return
            status, body, *rest = answer
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (rest[0] if rest else {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield stub
    server.shutdown()
    server.server_close()


class Time:
    """A clock that only its own pauses move."""

    def __init__(self) -> None:
        self.now_seconds = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_seconds += seconds

    def now(self) -> float:
        return self.now_seconds


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def client(api: StubApi, clock: Time) -> TaskiqClient:
    return TaskiqClient(ApiSettings(api.url, api_key="tq_test", retry_seconds=60), sleep=clock.sleep, now=clock.now)


def task_answer(**changes: Any) -> dict[str, Any]:
    """A task as `GET /v1/tasks/{id}` shows it."""
    return {
        "task_id": "01994a10-0000-7000-8000-000000000001",
        "task": "command",
        "queue": "default",
        "state": "queued",
        "attempt": 0,
        "worker": None,
        "error": None,
        "cancel_requested": False,
        "labels": {},
        **changes,
    }
