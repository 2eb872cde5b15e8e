"""What a worker starts: the real `dagster api`, once for each launch."""

import io

import pytest
from dagster import DagsterEventType, DagsterRunStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value
from world import World, opened

from dagster_taskiq.commands import step_task
from dagster_taskiq.config import TaskSettings
from dagster_taskiq.worker_process import main


def start(monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return main(arguments)


def body(world: World, starts: int) -> tuple[str, list[str]]:
    made = step_task(
        world.context("one").execute_step_args,
        TaskSettings("q", None, 5, 60, True),
        queue="q",
        priority=0,
        job_name="small",
        launch_key="k",
        starts=starts,
    )
    return made["input"]["stdin"], made["input"]["argv"][3:]


def starts_of(world: World) -> int:
    return len(world.instance.all_logs(world.run.run_id, of_type=DagsterEventType.STEP_START))


def test_a_step_runs_once_a_launch_and_again_in_the_next(monkeypatch: pytest.MonkeyPatch):
    with opened() as world:
        text, arguments = body(world, starts=0)
        assert start(monkeypatch, text, *arguments) == 0
        assert starts_of(world) == 1
        # The task was put back into its queue by a worker that drained.
        assert start(monkeypatch, text, *arguments) == 0
        assert starts_of(world) == 1
        messages = [entry.message for entry in world.instance.all_logs(world.run.run_id)]
        assert any("was started by an earlier attempt of the same task" in message for message in messages)
        # A resumed run launches it again, knowing of the first start.
        text, arguments = body(world, starts=1)
        assert start(monkeypatch, text, *arguments) == 0
        assert starts_of(world) == 2


def test_a_run_that_was_started_before_is_resumed_and_one_that_is_over_is_not_started(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr("dagster_taskiq.worker_process._dagster", lambda name, *_: asked.append(name) or 0)
    # One that was marked canceled while it waited is not started at all.
    for status in (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELED):
        with opened(status=status) as world:
            args = ExecuteRunArgs(
                job_origin=world.run.job_code_origin, run_id=world.run.run_id, instance_ref=world.instance.get_ref(), set_exit_code_on_failure=False
            )
            assert start(monkeypatch, serialize_value(args), "execute_job") == 0
    assert asked == ["execute_run", "resume_run"]


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit):
        start(monkeypatch, "", "execute_anything")
