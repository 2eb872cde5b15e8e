"""Terminating really stops processes, also where the run could be resumed: then Dagster's executor does not tell its steps."""

import time

import requests
from conftest import Deployment, is_alive, until
from dagster import DagsterEventType


def test_terminating_a_run_ends_the_process_of_its_long_step_within_ten_seconds(deployment: Deployment):
    run_id = deployment.launch("long_running")
    pid = deployment.started(run_id, "long_op")["pid"]
    assert is_alive(pid)
    began = time.monotonic()
    deployment.terminate(run_id)
    until(lambda: not is_alive(pid), seconds=10, what="the end of the process")
    print(f"FIGURE terminate, to the end of the step's process: {time.monotonic() - began:.1f} s")
    assert deployment.finished(run_id, 10).status.value == "CANCELED"
    until(lambda: all(task.is_over for task in deployment.tasks(run_id)), seconds=10, what="the end of all tasks")


def test_terminating_kills_a_step_that_swallows_interrupts(deployment: Deployment):
    run_id = deployment.launch("stubborn")
    (event,) = until(lambda: deployment.events(run_id, DagsterEventType.STEP_WORKER_STARTED), seconds=300, what="the step's process")
    until(lambda: deployment.events(run_id, DagsterEventType.STEP_START), seconds=300, what="the start of the step")
    pid = int(event.engine_event_data.metadata["pid"].value)
    deployment.terminate(run_id)
    until(lambda: not is_alive(pid), seconds=12, what="the end of the process")
    assert deployment.finished(run_id, 15).status.value == "CANCELED"


def test_a_run_that_is_marked_canceled_while_its_worker_waits_never_starts(deployment: Deployment):
    """Dagster terminates no run that is STARTING; marking it does not ask the launcher."""
    url = deployment.api._settings.url
    assert requests.post(f"{url}/v1/queues/runs/pause", timeout=10).ok
    try:
        run_id = deployment.launch("linear_chain")
        assert deployment.status(run_id) == "STARTING"
        deployment.terminate(run_id, "MARK_AS_CANCELED_IMMEDIATELY")
    finally:
        assert requests.post(f"{url}/v1/queues/runs/resume", timeout=10).ok
    until(lambda: deployment.tasks(run_id)[0].is_over, seconds=300, what="the end of the run's worker")
    assert deployment.status(run_id) == "CANCELED"
    assert deployment.journal(run_id) == [] and len(deployment.tasks(run_id)) == 1
