"""The HTTP API as this package uses it: tasks are submitted, looked at, found by label and cancelled.

A request that gets no answer, or one that says "later", is repeated with growing pauses until ``retry_seconds`` are over. That is safe for all of
them: creating a task carries an idempotency key, the others change nothing when repeated.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster_taskiq.config import ApiSettings
from dagster_taskiq.errors import TaskiqApiError, TaskiqUnreachableError
from dagster_taskiq.version import __version__

if TYPE_CHECKING:
    import requests

TERMINAL_STATES = frozenset({"succeeded", "failed", "cancelled", "skipped"})

_LATER = frozenset({429, 500, 502, 503, 504})
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_TIMEOUT_SECONDS = 30.0
_PAGE = 200
_MAX_DETAIL_CHARS = 2_000


@dataclass(frozen=True)
class Task:
    """A task as the API shows it.

    Attributes:
        state: ``blocked``, ``queued``, ``running``, ``succeeded``, ``failed``, ``cancelled`` or ``skipped``.
        worker: the name of the worker that runs it or ran it last.
        error_code, error_message: why it failed; None where it did not.
    """

    id: str
    state: str
    queue: str
    attempt: int
    worker: str | None
    error_code: str | None
    error_message: str | None
    cancel_requested: bool
    labels: Mapping[str, str]

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL_STATES


class TaskiqClient:
    """One API. May be used by several threads.

    Args:
        settings: where the API is, the key, and how long to go on trying.
        sleep, now: pauses and a clock that only goes forward, both in seconds.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._now = now
        self._of_thread = threading.local()

    def submit(self, body: Mapping[str, Any], *, idempotency_key: str) -> str:
        """Creates a task and returns its id. The same key and body give the same task for a day.

        Raises:
            TaskiqApiError: the API refuses the task; code ``idempotency_mismatch`` where the key was used with another body.
            TaskiqUnreachableError: no answer in time. The task may exist.
        """
        answer = self._request("POST", "/v1/tasks", json=body, headers={"idempotency-key": idempotency_key})
        return str(answer["task_id"])

    def get(self, task_id: str, *, wait_seconds: int = 0, retry_seconds: float | None = None) -> Task | None:
        """The task now, or as soon as it is over, at most ``wait_seconds`` (0 to 30) later. None: there is no such task.

        Raises:
            TaskiqApiError, TaskiqUnreachableError
        """
        try:
            query = {"wait_seconds": wait_seconds} if wait_seconds else {}
            answer = self._request("GET", f"/v1/tasks/{task_id}", params=query, retry_seconds=retry_seconds)
        except TaskiqApiError as error:
            if error.code == "task_not_found":
                return None
            raise
        return _task(answer)

    def result(self, task_id: str) -> Any:
        """What the handler of a task returned; None until it has succeeded."""
        return self._request("GET", f"/v1/tasks/{task_id}").get("result")

    def find(self, labels: Mapping[str, str]) -> Sequence[Task]:
        """All tasks that have these labels, newest first."""
        found: list[Task] = []
        cursor: str | None = None
        while True:
            query: dict[str, Any] = {"label": _filter(labels), "limit": _PAGE}
            if cursor is not None:
                query["cursor"] = cursor
            page = self._request("GET", "/v1/tasks", params=query)
            found.extend(_task(one) for one in page["tasks"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def cancel(self, task_id: str, *, reason: str) -> str | None:
        """Cancels a task and returns its state: ``cancelled``, or ``running`` while it is being stopped. None: it is over, or there is none."""
        try:
            answer = self._request("POST", f"/v1/tasks/{task_id}/cancel", json={"reason": reason[:500]})
        except TaskiqApiError as error:
            if error.code in ("task_finished", "task_not_found"):
                return None
            raise
        return str(answer["state"])

    def cancel_matching(self, labels: Mapping[str, str], *, reason: str) -> int:
        """Cancels every task that has these labels and is not over; returns how many were cancelled or are being stopped."""
        done = 0
        while True:
            body: dict[str, Any] = {"filter": {"label": _filter(labels)}, "reason": reason[:500]}
            counted = self._request("POST", "/v1/tasks/cancel", json=body)
            if counted["matched"] == 0:
                return done
            try:
                outcome = self._request("POST", "/v1/tasks/cancel", json={**body, "confirm": counted["matched"], "as_of": counted["as_of"]})
            except TaskiqApiError as error:
                if error.code == "count_changed":
                    continue
                raise
            done += int(outcome["changed"]) + int(outcome["stopping"])
            if outcome["remaining"] == 0:
                return done

    def workers(self) -> Sequence[Mapping[str, Any]]:
        """The workers as ``GET /v1/workers`` shows them."""
        return list(self._request("GET", "/v1/workers")["workers"])

    def _request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        retry_seconds: float | None = None,
    ) -> Any:
        # Not in steps, which load this module and ask for nothing.
        import requests

        limit = self._settings.retry_seconds if retry_seconds is None else retry_seconds
        started = self._now()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            asked_for: float | None = None
            try:
                answer = self._session().request(
                    method,
                    f"{self._settings.url}{path}",
                    json=json,
                    params=params,
                    headers=dict(headers or {}),
                    timeout=_TIMEOUT_SECONDS,
                    # A redirect would carry the key elsewhere.
                    allow_redirects=False,
                )
                if answer.status_code not in _LATER:
                    return _json_of(answer, method, path)
                trouble = str(_error_of(answer, method, path))
                asked_for = _retry_after(answer)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                trouble = f"{type(error).__name__}: {error}"[:_MAX_DETAIL_CHARS]
            wait = max(asked_for or 0.0, random.uniform(pause / 2, pause))
            if self._now() - started + wait > limit:
                raise TaskiqUnreachableError(
                    f"{method} {self._settings.url}{path}: expected an answer of the taskiq-aws API within {limit:g} s, got {trouble} "
                    "Look whether it runs, and whether url (TASKIQ_URL) is its address."
                )
            self._sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _session(self) -> "requests.Session":
        import requests

        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = requests.Session()
            session.headers["user-agent"] = f"dagster-taskiq/{__version__}"
            if self._settings.api_key:
                session.headers["authorization"] = f"Bearer {self._settings.api_key}"
            # Proxies and netrc of the machine are not meant for this API, and netrc would replace the key.
            session.trust_env = False
            if self._settings.ca_file:
                session.verify = self._settings.ca_file
            self._of_thread.session = session
        return session


def _task(answer: Mapping[str, Any]) -> Task:
    error = answer.get("error") or {}
    return Task(
        id=answer["task_id"],
        state=answer["state"],
        queue=answer["queue"],
        attempt=answer["attempt"],
        worker=answer["worker"],
        error_code=error.get("code"),
        error_message=error.get("message"),
        cancel_requested=answer["cancel_requested"],
        labels=answer["labels"],
    )


def _filter(labels: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in labels.items()]


def _json_of(answer: "requests.Response", method: str, path: str) -> Any:
    if not 200 <= answer.status_code < 300:
        raise _error_of(answer, method, path)
    try:
        return answer.json()
    except ValueError as error:
        raise TaskiqApiError(
            answer.status_code,
            "unknown",
            f"{method} {path}: expected JSON of the taskiq-aws API, got {answer.text[:200]!r}. Is url (TASKIQ_URL) its address?",
        ) from error


def _error_of(answer: "requests.Response", method: str, path: str) -> TaskiqApiError:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": answer.text}
    code = str(problem.get("code", "unknown"))
    parts = [str(problem.get("detail") or problem.get("title") or "no detail")]
    parts += [f"{issue.get('path')}: {issue.get('message')}" for issue in problem.get("issues") or [] if isinstance(issue, dict)]
    advice = {401: " Set api_key (TASKIQ_API_KEY) to a live key.", 403: " The key needs the scopes enqueue, read, operate and command."}
    text = "; ".join(parts)[:_MAX_DETAIL_CHARS]
    return TaskiqApiError(answer.status_code, code, f"{method} {path}: {answer.status_code} {code}: {text}{advice.get(answer.status_code, '')}")


def _retry_after(answer: "requests.Response") -> float | None:
    try:
        return min(max(float(answer.headers.get("retry-after", "")), 0.0), 60.0)
    except ValueError:
        return None
