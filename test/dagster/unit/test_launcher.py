"""The run launcher, with a real instance and a stub of the API."""

import pytest
from conftest import Asked, StubApi, task_answer
from dagster import DagsterRunStatus
from dagster._core.launcher.base import LaunchRunContext, ResumeRunContext, WorkerStatus
from world import World, opened

from dagster_taskiq import TaskiqRunLauncher
from dagster_taskiq.client import TaskiqClient
from dagster_taskiq.errors import TaskiqUnreachableError


def launcher(world: World, client: TaskiqClient, **config) -> TaskiqRunLauncher:
    made = TaskiqRunLauncher(config=config, client=client)
    made.register_instance(world.instance)
    return made


def answers(state: str, cancel: tuple = (202, {"task_id": "t", "state": "running"}), **task) -> object:
    """Everything the launcher asks."""
    counted = {"changed": 0, "stopping": 0, "unchanged": 0, "remaining": 0, "as_of": "2026-01-01T00:00:00Z"}

    def answer(asked: Asked):
        if asked.path == "/v1/tasks" and asked.method == "POST":
            return 202, {"task_id": f"task-{asked.headers['idempotency-key'][-1]}", "state": "queued"}
        if asked.path == "/v1/tasks":
            return 200, {"tasks": [], "next_cursor": None}
        if asked.path == "/v1/tasks/cancel":
            return 200, {**counted, "matched": 0 if asked.body.get("confirm") is None else 1}
        if asked.path.endswith("/cancel"):
            return cancel
        return 200, task_answer(state=state, **task)

    return answer


def test_launching_and_resuming_make_a_task_each_and_tag_the_run(api: StubApi, client: TaskiqClient):
    api.answer = answers("queued")
    with opened(status=DagsterRunStatus.STARTING) as world:
        made = launcher(world, client)
        made.launch_run(LaunchRunContext(world.run, None))
        assert world.reload().tags["dagster-taskiq/task_id"] == "task-0"
        made.resume_run(ResumeRunContext(world.run, None, resume_attempt_number=2))
        assert world.reload().tags["dagster-taskiq/task_id"] == "task-2"
        posts = [one.body for one in api.asked if one.method == "POST"]
        assert [one["labels"]["dagster-taskiq/task"] for one in posts] == ["execute_job", "resume_job"]
        assert {one["queue"] for one in posts} == {"runs"}


@pytest.mark.parametrize(("state", "wanted"), [("queued", "RUNNING"), ("running", "RUNNING"), ("failed", "FAILED"), ("cancelled", "FAILED")])
def test_the_health_of_a_runs_worker_is_that_of_its_task(api: StubApi, client: TaskiqClient, state: str, wanted: str):
    api.answer = answers(state)
    with opened(tags={"dagster-taskiq/task_id": "t"}) as world:
        assert launcher(world, client).check_run_worker_health(world.run).status.value == wanted


def test_a_worker_that_ended_well_while_its_run_goes_on_has_failed(api: StubApi, client: TaskiqClient):
    """SIGTERM on a run worker that may be resumed exits with 0; SUCCESS would hang the run."""
    api.answer = answers("succeeded")
    with opened(tags={"dagster-taskiq/task_id": "t"}) as world:
        made = launcher(world, client)
        assert made.check_run_worker_health(world.run).status == WorkerStatus.FAILED
        world.instance.report_run_failed(world.run)
        # Read before it ended.
        assert made.check_run_worker_health(world.run).status == WorkerStatus.SUCCESS


def test_an_api_that_gives_no_answer_makes_nothing_be_resumed(api: StubApi, client: TaskiqClient):
    api.script(None)
    with opened(tags={"dagster-taskiq/task_id": "t"}) as world, pytest.raises(TaskiqUnreachableError):
        launcher(world, client).check_run_worker_health(world.run)


def test_a_run_that_somebody_else_launched_is_left_alone(api: StubApi, client: TaskiqClient):
    api.answer = answers("queued")
    with opened() as world:
        health = launcher(world, client).check_run_worker_health(world.run)
        assert health.status == WorkerStatus.RUNNING and "did not launch" in (health.msg or "")


def test_a_run_whose_tag_was_not_written_is_found_by_its_label(api: StubApi, client: TaskiqClient):
    found = task_answer(state="failed", labels={"dagster-taskiq/task": "execute_job"})
    usual = answers("failed")
    api.answer = lambda asked: (200, {"tasks": [found], "next_cursor": None}) if (asked.method, asked.path) == ("GET", "/v1/tasks") else usual(asked)
    with opened() as world:
        assert launcher(world, client).check_run_worker_health(world.run).status == WorkerStatus.FAILED


def test_terminating_marks_the_run_and_cancels_its_worker_and_every_task_of_it(api: StubApi, client: TaskiqClient):
    api.answer = answers("cancelled")
    with opened(tags={"dagster-taskiq/task_id": "t"}) as world:
        assert launcher(world, client).terminate(world.run.run_id)
        paths = [one.path for one in api.asked]
        assert paths[:2] == ["/v1/tasks/t/cancel", "/v1/tasks/cancel"]
        assert api.asked[1].body["filter"] == {"label": [f"dagster/run_id={world.run.run_id}"]}
        # Its worker ended without having reported it, killed while it started.
        assert world.reload().status == DagsterRunStatus.CANCELED


def test_a_run_whose_worker_never_started_is_canceled_at_once(api: StubApi, client: TaskiqClient):
    api.answer = answers("cancelled", cancel=(200, {"task_id": "t", "state": "cancelled"}))
    with opened(tags={"dagster-taskiq/task_id": "t"}, status=DagsterRunStatus.STARTING) as world:
        assert launcher(world, client).terminate(world.run.run_id)
        assert world.reload().status == DagsterRunStatus.CANCELED


def test_a_worker_that_does_not_end_leaves_the_run_to_the_monitoring(api: StubApi, client: TaskiqClient):
    api.answer = answers("running")
    with opened(tags={"dagster-taskiq/task_id": "t"}) as world:
        ticks = iter(range(0, 1_000, 4))
        made = TaskiqRunLauncher(config={}, client=client, now=lambda: float(next(ticks)))
        made.register_instance(world.instance)
        assert made.terminate(world.run.run_id)
        assert world.reload().status == DagsterRunStatus.CANCELING


def test_nothing_is_terminated_where_cancellation_is_off_or_the_run_is_over(api: StubApi, client: TaskiqClient):
    api.answer = answers("running")
    with opened(tags={"dagster-taskiq/task_id": "t"}) as world:
        assert not launcher(world, client, enable_cancellation=False).terminate(world.run.run_id)
        world.instance.report_run_failed(world.run)
        assert not launcher(world, client).terminate(world.run.run_id)
        assert api.asked == []


def test_says_what_the_api_knows_of_a_run_that_does_not_start(api: StubApi, client: TaskiqClient):
    api.answer = answers("queued", queue="runs")
    with opened(tags={"dagster-taskiq/task_id": "t"}) as world:
        text = launcher(world, client).get_run_worker_debug_info(world.run)
        assert text is not None and "On queue runs: task t is queued" in text and "maxSlots" in text
