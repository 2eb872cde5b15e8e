"""The tasks that run steps and runs: what they start, and what goes to whom by which way."""

import base64
import json
import zlib
from pathlib import Path

import pytest
from dagster._core.code_pointer import FileCodePointer
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs, ExecuteStepArgs, ResumeRunArgs
from dagster._serdes import deserialize_value

from dagster_taskiq.commands import run_launch_key, run_task, step_launch_key, step_task
from dagster_taskiq.config import TaskSettings

RUN = "b4912f61-3a95-4ff7-8bb5-b814fb0f17fe"
ORIGIN = JobPythonOrigin("job", RepositoryPythonOrigin("/usr/bin/python3", FileCodePointer("/opt/jobs.py", "defs", "/opt"), entry_point=["dagster"]))
SETTINGS = TaskSettings("default", None, 5, 39_600, True)


def step(key: str = "one", known_state: KnownExecutionState | None = None, settings: TaskSettings = SETTINGS) -> dict:
    args = ExecuteStepArgs(ORIGIN, RUN, [key], known_state=known_state)
    return step_task(args, settings, queue="q", priority=3, job_name="job", launch_key="k", starts=2)


def decoded(body: dict) -> ExecuteStepArgs:
    return deserialize_value(zlib.decompress(base64.b64decode(body["input"]["stdin"])).decode(), ExecuteStepArgs)


def test_a_step_is_a_command_that_dagster_alone_tries_again():
    body = step()
    assert (body["task"], body["queue"], body["priority"]) == ("command", "q", 3)
    assert body["policy"] == {"max_attempts": 1, "max_losses": 0, "on_lost": "fail", "grace_ms": 5_000}
    assert body["input"]["argv"] == ["/usr/bin/python3", "-m", "dagster_taskiq", "execute_plan", "--starts", "2"]
    assert body["input"]["awsCredentials"] == "inherit"
    assert body["input"]["timeoutMs"] == 39_600_000
    assert set(body["input"]) == {"argv", "stdin", "timeoutMs", "awsCredentials"}
    assert body["labels"] == {
        "dagster/run_id": RUN,
        "dagster/job": "job",
        "dagster/step_key": "one",
        "dagster-taskiq/task": "execute_plan",
        "dagster-taskiq/launch": "k",
    }
    assert decoded(body).step_keys_to_execute == ["one"]


def test_a_known_state_of_any_size_goes_by_standard_input():
    keys = [f"{i:040x}" for i in range(20_000)]
    state = KnownExecutionState(previous_retry_attempts={}, dynamic_mappings={"split": {"result": keys}}, ready_outputs=set())
    body = step(known_state=state)
    assert max(len(one) for one in body["input"]["argv"]) < 1_000
    found = decoded(body).known_state
    assert found is not None and found.dynamic_mappings["split"]["result"] == keys


def test_a_long_step_key_fits_into_its_label_and_whole_into_its_arguments():
    key = "graph." * 400 + "op"
    body = step(key)
    assert len(body["labels"]["dagster/step_key"]) == 1_000
    assert decoded(body).step_keys_to_execute == [key]


@pytest.mark.parametrize("settings_python", ["/opt/venv/bin/python", None])
def test_the_interpreter_is_the_code_locations_unless_another_is_set(settings_python: str | None):
    body = step(settings=TaskSettings("default", settings_python, 5, 60, True))
    assert body["input"]["argv"][0] == (settings_python or "/usr/bin/python3")


@pytest.mark.parametrize(("kind", "name"), [(ExecuteRunArgs, "execute_job"), (ResumeRunArgs, "resume_job")])
def test_a_run_is_a_command_under_the_predecessors_name(kind: type, name: str):
    args = kind(job_origin=ORIGIN, run_id=RUN, instance_ref=None, set_exit_code_on_failure=False)
    body = run_task(args, TaskSettings("runs", None, 5, 60, True), priority=0, job_name="job", launch_key="k")
    assert body["queue"] == "runs"
    assert body["input"]["argv"][1:] == ["-m", "dagster_taskiq", name]
    assert body["labels"]["dagster-taskiq/task"] == name
    assert deserialize_value(body["input"]["stdin"], kind).run_id == RUN


def test_a_key_differs_by_run_step_attempt_and_launch_and_is_what_the_api_takes():
    keys = {
        step_launch_key(RUN, "one", 0, 1),
        step_launch_key(RUN, "two", 0, 1),
        step_launch_key(RUN, "one", 1, 1),
        step_launch_key(RUN, "one", 0, 2),
        step_launch_key("other", "one", 0, 1),
        run_launch_key(RUN, 0),
        run_launch_key(RUN, 1),
    }
    assert len(keys) == 7
    long = step_launch_key(RUN, "é" * 5_000, 10_000, 10_000)
    assert len(long) <= 255 and all("!" <= letter <= "~" for letter in long)


def test_recorded_arguments_of_the_real_dagster_are_read():
    """The text that this version of Dagster writes is what the worker's side hands on."""
    golden = Path(__file__).parents[2] / "golden" / "dagster-commands.json"
    recorded = json.loads(golden.read_text())["execute_step"]["env"]["DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS"]
    args = deserialize_value(zlib.decompress(base64.b64decode(recorded)).decode(), ExecuteStepArgs)
    body = step_task(args, SETTINGS, queue="q", priority=0, job_name="linear_chain", launch_key="k", starts=0)
    assert body["labels"]["dagster/step_key"] == "first"
    assert decoded(body) == args
