"""What a step's task and its events say about its health."""

import pytest

from dagster_taskiq.client import Task
from dagster_taskiq.health import health_of


def task(state: str, code: str | None = None, message: str | None = None) -> Task:
    return Task("t-1", state, "default", 1, "worker-1", code, message, False, {})


def health(one: Task | None, *, ended: bool = False, over: float = 0):
    def has_ended() -> bool:
        assert one is None or one.is_over, "the event log is read only when the task is over"
        return ended

    return health_of("t-1", one, has_ended=has_ended, seconds_over=lambda: over, lost_after_seconds=10)


@pytest.mark.parametrize("state", ["blocked", "queued", "running"])
def test_a_step_whose_task_waits_or_runs_is_healthy(state: str):
    assert health(task(state)).is_healthy


@pytest.mark.parametrize("one", [task("succeeded"), task("failed", "command_failed"), task("cancelled"), None])
def test_a_step_that_has_ended_is_healthy_whatever_became_of_its_task(one: Task | None):
    assert health(one, ended=True, over=99).is_healthy


def test_a_step_whose_task_failed_is_lost_with_its_code_message_and_worker():
    reason = health(task("failed", "lease_lost", "The worker died.")).unhealthy_reason
    assert reason == "task t-1 failed on worker worker-1: lease_lost: The worker died."


def test_a_step_whose_task_was_cancelled_or_is_unknown_is_lost():
    assert health(task("cancelled")).unhealthy_reason == "task t-1 was cancelled on worker worker-1"
    assert "not known to the API any more" in (health(None).unhealthy_reason or "")


def test_a_step_without_an_end_is_lost_only_some_time_after_its_task_has_succeeded():
    assert health(task("succeeded"), over=9.9).is_healthy
    assert "has no end in the event log" in (health(task("succeeded"), over=10).unhealthy_reason or "")
