"""Launching, looking at and stopping steps, with a real event log and a stub of the API."""

import dagster as dg
import pytest
from conftest import Asked, StubApi, Time, task_answer
from dagster import DagsterEventType
from dagster._core.events import StepFailureData
from world import World, opened

from dagster_taskiq.client import TaskiqClient
from dagster_taskiq.config import TaskSettings
from dagster_taskiq.step_handler import TaskiqStepHandler

SETTINGS = TaskSettings("default", None, 5, 60, True)


class Fleet:
    """Accepts tasks, each key once as the API does, and says what the test says about them."""

    def __init__(self, api: StubApi) -> None:
        self.by_key: dict[str, str] = {}
        self.bodies: dict[str, dict] = {}
        self.state = task_answer(state="running")
        self.cancelled: list[str] = []
        api.answer = self.answer

    def answer(self, asked: Asked):
        if asked.path == "/v1/tasks" and asked.method == "POST":
            key = asked.headers["idempotency-key"]
            if key in self.by_key and self.bodies[self.by_key[key]] != asked.body:
                return 422, {"code": "idempotency_mismatch", "detail": "another body"}
            task_id = self.by_key.setdefault(key, f"task-{len(self.by_key) + 1}")
            self.bodies[task_id] = asked.body
            return 202, {"task_id": task_id, "state": "queued"}
        if asked.path == "/v1/tasks":
            (label,) = [one for one in asked.query["label"] if one.startswith("dagster-taskiq/launch=")]
            return 200, {"tasks": [task_answer(task_id=self.by_key[label.split("=", 1)[1]])], "next_cursor": None}
        if asked.path.endswith("/cancel"):
            self.cancelled.append(asked.path.split("/")[3])
            return 202, {"task_id": "t", "state": "running"}
        return 200, {**self.state, "task_id": asked.path.split("/")[3]}


@pytest.fixture
def fleet(api: StubApi) -> Fleet:
    return Fleet(api)


def handler(client: TaskiqClient, clock: Time) -> TaskiqStepHandler:
    return TaskiqStepHandler(client, SETTINGS, lost_after_seconds=10, now=clock.now)


def launched(world: World) -> list[dict]:
    entries = world.instance.all_logs(world.run.run_id, of_type=DagsterEventType.STEP_WORKER_STARTING)
    return [{name: value.value for name, value in entry.dagster_event.engine_event_data.metadata.items()} for entry in entries]


def test_a_launch_is_one_task_on_the_steps_queue_whose_id_stands_in_the_event_log(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened(tags={"dagster-taskiq/run_priority": "2"}) as world:
        steps = handler(client, clock)
        list(steps.launch_step(world.context("one")))
        list(steps.launch_step(world.context("two")))
        assert [(body["queue"], body["priority"]) for body in fleet.bodies.values()] == [("default", 2), ("special", 6)]
        assert [one["dagster-taskiq/task_id"] for one in launched(world)] == ["task-1", "task-2"]


def test_a_run_worker_that_died_before_its_event_asks_for_the_same_task(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened() as world:
        # Asked, and never read: the event of the launch was not written.
        steps = handler(client, clock)
        list(steps.launch_step(world.context("one")))
        world.instance.event_log_storage.delete_events(world.run.run_id)
        resumed = handler(client, clock)
        assert "no task was launched" in (resumed.check_step_health(world.context("one")).unhealthy_reason or "")
        list(resumed.launch_step(world.context("one")))
        assert list(fleet.by_key.values()) == ["task-1"]


def test_the_same_key_with_another_known_state_finds_its_task_by_its_label(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened() as world:
        list(handler(client, clock).launch_step(world.context("one")))
        world.instance.event_log_storage.delete_events(world.run.run_id)
        context = world.context("one")
        context._execute_step_args = context.execute_step_args.__class__(context.execute_step_args.job_origin, world.run.run_id, ["one"], known_state=None)
        list(handler(client, clock).launch_step(context))
        assert [one["dagster-taskiq/task_id"] for one in launched(world)] == ["task-1"]


def test_a_resumed_run_follows_a_live_task_and_launches_a_dead_one_anew_with_the_same_attempt(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened() as world:
        list(handler(client, clock).launch_step(world.context("one")))
        resumed = handler(client, clock)
        assert resumed.check_step_health(world.context("one")).is_healthy
        fleet.state = task_answer(state="failed", worker="w", error={"code": "lease_lost", "message": "gone"})
        assert not resumed.check_step_health(world.context("one")).is_healthy
        list(resumed.launch_step(world.context("one")))
        assert [(one["dagster-taskiq/attempt"], one["dagster-taskiq/launch"]) for one in launched(world)] == [(0, 1), (0, 2)]
        assert list(fleet.by_key.values()) == ["task-1", "task-2"]


def test_a_retry_is_another_task(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened() as world:
        steps = handler(client, clock)
        list(steps.launch_step(world.context("one")))
        list(steps.launch_step(world.context("one", attempt=1)))
        assert [(one["dagster-taskiq/attempt"], one["dagster-taskiq/launch"]) for one in launched(world)] == [(0, 1), (1, 1)]


def test_a_step_that_ended_is_healthy_although_its_task_failed(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened() as world:
        steps = handler(client, clock)
        context = world.context("one")
        list(steps.launch_step(context))
        fleet.state = task_answer(state="failed", error={"code": "command_failed", "message": "exited with code 1"})
        assert not steps.check_step_health(context).is_healthy
        dg.DagsterEvent.step_failure_event(context.get_step_context("one"), StepFailureData(error=None, user_failure_data=None))
        assert steps.check_step_health(context).is_healthy


def test_a_step_without_an_end_is_lost_ten_seconds_after_its_task_was_first_seen_over(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened() as world:
        steps = handler(client, clock)
        list(steps.launch_step(world.context("one")))
        fleet.state = task_answer(state="succeeded")
        assert steps.check_step_health(world.context("one")).is_healthy
        clock.now_seconds += 10
        assert not steps.check_step_health(world.context("one")).is_healthy


def test_an_outage_of_the_api_is_no_reason_to_give_a_step_up(fleet: Fleet, api: StubApi, client: TaskiqClient, clock: Time):
    with opened() as world:
        steps = handler(client, clock)
        list(steps.launch_step(world.context("one")))
        api.script(None)
        before = clock.now_seconds
        assert steps.check_step_health(world.context("one")).is_healthy
        assert clock.now_seconds - before <= 5


def test_what_is_launched_while_the_run_is_being_terminated_is_cancelled(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened() as world:
        world.instance.report_run_canceling(world.run)
        list(handler(client, clock).launch_step(world.context("one")))
        assert fleet.cancelled == ["task-1"]


def test_terminating_cancels_the_task_unless_cancellation_is_off(fleet: Fleet, client: TaskiqClient, clock: Time):
    with opened() as world:
        steps = handler(client, clock)
        list(steps.launch_step(world.context("one")))
        list(steps.terminate_step(world.context("one")))
        assert fleet.cancelled == ["task-1"]
        off = TaskiqStepHandler(client, TaskSettings("default", None, 5, 60, False))
        (event,) = list(off.terminate_step(world.context("one")))
        assert "enable_cancellation is false" in (event.message or "")
        assert fleet.cancelled == ["task-1"]
