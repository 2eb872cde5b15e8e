"""What the Pipes client submits, and what it makes of the task's end."""

import dagster as dg
import pytest
from conftest import StubApi, task_answer

from dagster_taskiq import PipesTaskiqClient
from dagster_taskiq.client import TaskiqClient
from dagster_taskiq.pipes import CONTEXT_LABEL, MESSAGES_LABEL

TASK_ID = "01a20055-f8a9-74d1-a48c-14d20e437bf4"


def run(client: TaskiqClient, api: StubApi, state: str, **options) -> tuple[dg.ExecuteInProcessResult, dict]:
    task = task_answer(task_id=TASK_ID, state=state, error={"code": "lost", "type": None, "message": "gone"} if state == "failed" else None)
    api.answer = lambda asked: (202, {"task_id": TASK_ID, "state": "queued"}) if asked.method == "POST" else (200, task)
    pipes = PipesTaskiqClient(client=client)

    @dg.op
    def runs(context: dg.OpExecutionContext) -> None:
        pipes.run(context=context, **options)

    @dg.job
    def job() -> None:
        runs()

    result = job.execute_in_process(raise_on_error=False)
    (body,) = [asked.body for asked in api.asked if asked.method == "POST"]
    return result, body


def test_a_task_has_one_attempt_because_a_second_one_would_report_into_the_session_of_the_first(client: TaskiqClient, api: StubApi):
    result, body = run(client, api, "succeeded", task="piped", input={"a": 1})
    assert result.success
    assert body["task"] == "piped" and body["input"] == {"a": 1}
    assert body["policy"] == {"max_attempts": 1, "max_losses": 0, "on_lost": "fail"}
    assert {CONTEXT_LABEL, MESSAGES_LABEL} <= set(body["labels"])


def test_a_policy_that_says_otherwise_is_taken(client: TaskiqClient, api: StubApi):
    _, body = run(client, api, "succeeded", task="piped", policy={"max_attempts": 2, "timeout_ms": 5})
    assert body["policy"] == {"max_attempts": 2, "max_losses": 0, "on_lost": "fail", "timeout_ms": 5}


def test_a_command_gets_the_session_as_arguments(client: TaskiqClient, api: StubApi):
    _, body = run(client, api, "succeeded", argv=["node", "made.js"])
    assert body["task"] == "command"
    assert body["input"]["argv"][:2] == ["node", "made.js"] and "--dagster-pipes-context" in body["input"]["argv"]


def test_a_lost_task_fails_its_step_with_the_reason(client: TaskiqClient, api: StubApi):
    result, _ = run(client, api, "failed", task="piped")
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert f"task {TASK_ID} failed: lost: gone" in failure.step_failure_data.error.to_string()


@pytest.mark.parametrize("options", [{}, {"task": "a", "argv": ["b"]}])
def test_expects_a_task_or_a_command(client: TaskiqClient, options: dict):
    with pytest.raises(Exception, match="expected either task or argv"):
        PipesTaskiqClient(client=client).run(context=dg.build_op_context(), **options)
