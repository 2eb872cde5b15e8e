"""Nothing hangs when a process is killed: the step is retried or failed with the reason, the run is resumed."""

import os
import signal
from collections.abc import Callable

from conftest import QUICK, Deployment, is_alive, until
from dagster import DagsterEventType


def test_a_step_whose_worker_is_killed_fails_with_the_reason(deployment: Deployment, workers: Callable[[], dict[str, int]]):
    for _ in range(5):
        run_id = deployment.launch("napping", {**QUICK, "ops": {"naps": {"config": {"seconds": 300.0}}}}, location="more")
        step = deployment.started(run_id, "naps")
        (task,) = deployment.tasks(run_id, "naps")
        run_task = next(one for one in deployment.tasks(run_id) if one.queue == "runs")
        if task.worker != run_task.worker:
            break
        # On one worker the run is resumed as well, which is another test.
        deployment.terminate(run_id)
    os.kill(workers()[task.worker], signal.SIGKILL)
    run = deployment.finished(run_id)
    assert run.status.value == "FAILURE"
    (failure,) = deployment.events(run_id, DagsterEventType.STEP_FAILURE)
    message = failure.step_failure_data.error.message
    assert task.id in message and f"on worker {task.worker}" in message and "lost" in message, message
    assert not is_alive(step["pid"])


def test_a_step_that_dies_is_retried_by_its_policy(deployment: Deployment):
    run_id = deployment.launch("dying_once", QUICK, location="more")
    assert deployment.finished(run_id).status.value == "SUCCESS"
    (again,) = deployment.events(run_id, DagsterEventType.STEP_UP_FOR_RETRY)
    assert "was ended by SIGKILL" in again.step_retry_data.error.message
    assert [row["attempt"] for row in deployment.journal(run_id, "start")] == [0, 1]


def test_a_step_whose_process_ends_without_a_word_counts_as_lost(deployment: Deployment):
    run_id = deployment.launch("vanishing", QUICK, location="more")
    assert deployment.finished(run_id).status.value == "FAILURE"
    (failure,) = deployment.events(run_id, DagsterEventType.STEP_FAILURE)
    assert "ended with code 0, but the step has no end in the event log" in failure.step_failure_data.error.message


def test_a_run_whose_worker_is_killed_is_resumed_and_its_live_step_goes_on(deployment: Deployment):
    run_id = deployment.launch("napping", QUICK, location="more")
    deployment.started(run_id, "naps")
    os.kill(_run_worker(deployment, run_id), signal.SIGKILL)
    assert deployment.finished(run_id).status.value == "SUCCESS"
    assert sorted(row["step"] for row in deployment.journal(run_id, "start")) == ["after", "naps"]
    assert len([task for task in deployment.tasks(run_id) if task.queue == "runs"]) == 2


def test_a_step_that_died_with_its_run_worker_is_launched_again_with_the_same_attempt(deployment: Deployment):
    run_id = deployment.launch("napping", {**QUICK, "ops": {"naps": {"config": {"seconds": 10.0}}}}, location="more")
    step = deployment.started(run_id, "naps")
    os.kill(_run_worker(deployment, run_id), signal.SIGKILL)
    os.kill(step["pid"], signal.SIGKILL)
    assert deployment.finished(run_id).status.value == "SUCCESS"
    starts = [(row["step"], row["attempt"]) for row in deployment.journal(run_id, "start")]
    assert starts == [("naps", 0), ("naps", 0), ("after", 0)]


def test_a_step_that_a_draining_worker_interrupted_is_not_started_again(deployment: Deployment, workers: Callable[[], dict[str, int]]):
    for _ in range(5):
        run_id = deployment.launch("napping", {**QUICK, "ops": {"naps": {"config": {"seconds": 300.0}}}}, location="more")
        step = deployment.started(run_id, "naps")
        (task,) = deployment.tasks(run_id, "naps")
        if task.worker != next(one for one in deployment.tasks(run_id) if one.queue == "runs").worker:
            break
        deployment.terminate(run_id)
    os.kill(workers()[task.worker], signal.SIGTERM)
    assert deployment.finished(run_id).status.value == "FAILURE"
    until(lambda: deployment.tasks(run_id, "naps")[0].is_over, seconds=300, what="the end of the requeued task")
    assert len(deployment.journal(run_id, "start")) == 1
    assert not is_alive(step["pid"])


def _run_worker(deployment: Deployment, run_id: str) -> int:
    """The process of the run's worker."""
    events = deployment.events(run_id, DagsterEventType.ENGINE_EVENT)
    (message,) = [event.message for event in events if (event.message or "").startswith("Started process for run")]
    return int(message.rpartition("pid: ")[2].rstrip(")."))
