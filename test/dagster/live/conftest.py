"""A Dagster deployment for the live tests: the instance, the code locations, and the monitoring that a daemon does."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import CompositeTarget, PythonFileTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster_graphql.test.utils import execute_dagster_graphql

from dagster_taskiq.client import Task, TaskiqClient
from dagster_taskiq.commands import RUN_LABEL, STEP_LABEL
from dagster_taskiq.config import api_settings

LOCATION = Path(__file__).parents[1] / "location"
GOLDEN = Path(__file__).parents[2] / "golden"
#: Notices what is lost in seconds.
QUICK = {"execution": {"config": {"check_step_health_interval_seconds": 2, "lost_after_seconds": 2}}}

LAUNCH = """
mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack } ... on RunConfigValidationInvalid { errors { message } } } }
"""
REEXECUTE = """
mutation Again($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack } } }
"""
TERMINATE = """
mutation Stop($ids: [String!]!, $policy: TerminateRunPolicy) { terminateRuns(runIds: $ids, terminatePolicy: $policy) { __typename ... on TerminateRunsResult {
  terminateRunResults { __typename ... on TerminateRunFailure { message } ... on PythonError { message } } } } }
"""


def until(condition: Callable[[], Any], *, seconds: float, what: str, every: float = 0.1) -> Any:
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < end:
        last = condition()
        if last:
            return last
        time.sleep(every)
    raise AssertionError(f"waited {seconds:g} s for {what}; last: {last!r}")


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return not stat.rpartition(")")[2].startswith(" Z")


class Deployment:
    """What a test does with Dagster, as a user would: by GraphQL."""

    def __init__(self, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext) -> None:
        self.instance = instance
        self.api = TaskiqClient(api_settings({}))
        self._workspace = workspace

    def launch(self, job: str, run_config: dict | None = None, tags: dict[str, str] | None = None, location: str = "interop") -> str:
        params = {
            "selector": {"repositoryLocationName": location, "repositoryName": "__repository__", "jobName": job},
            "runConfigData": run_config or {},
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]},
        }
        return self._started(LAUNCH, {"params": params}, "launchRun")

    def reexecute(self, run_id: str) -> str:
        return self._started(REEXECUTE, {"params": {"parentRunId": run_id, "strategy": "FROM_FAILURE"}}, "launchRunReexecution")

    def terminate(self, run_id: str, policy: str = "SAFE_TERMINATE") -> None:
        (result,) = self._ask(TERMINATE, {"ids": [run_id], "policy": policy})["terminateRuns"]["terminateRunResults"]
        assert result["__typename"] == "TerminateRunSuccess", result

    def status(self, run_id: str) -> str:
        return self.run(run_id).status.value

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def finished(self, run_id: str, seconds: float = 900, every: float = 0.1) -> dg.DagsterRun:
        until(lambda: self.run(run_id).is_finished, seconds=seconds, every=every, what=f"the end of run {run_id} ({self.run(run_id).job_name})")
        return self.run(run_id)

    def events(self, run_id: str, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
        return [entry.dagster_event for entry in self.instance.all_logs(run_id, of_type=kind) if entry.dagster_event]

    def tasks(self, run_id: str, step_key: str | None = None) -> list[Task]:
        """Newest first; all of the run, or those of a step."""
        labels = {RUN_LABEL: run_id} if step_key is None else {RUN_LABEL: run_id, STEP_LABEL: step_key}
        return list(self.api.find(labels))

    def running(self, queue: str) -> int:
        """How many of a queue's tasks run, at one moment."""
        return len(self.api._request("GET", "/v1/tasks", params={"queue": queue, "state": "running"})["tasks"])

    def journal(self, run_id: str, event: str | None = None) -> list[dict]:
        path = Path(os.environ["INTEROP_JOURNAL"])
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [row for row in rows if row["run_id"] == run_id and event in (None, row["event"])]

    def started(self, run_id: str, step_key: str, seconds: float = 300) -> dict:
        """The journal's line of the step's first start."""
        mine = lambda: [row for row in self.journal(run_id, "start") if row["step"] == step_key]  # noqa: E731
        return until(mine, seconds=seconds, what=f"the start of {step_key}")[0]

    def _started(self, mutation: str, variables: dict, name: str) -> str:
        result = self._ask(mutation, variables)[name]
        assert result["__typename"] == "LaunchRunSuccess", result
        return result["run"]["runId"]

    def _ask(self, mutation: str, variables: dict) -> dict:
        return execute_dagster_graphql(self._workspace.create_request_context(), mutation, variables).data


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    def file(name: str) -> PythonFileTarget:
        return PythonFileTarget(str(LOCATION / f"{name}_jobs.py"), None, str(LOCATION), name)

    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, CompositeTarget([file("interop"), file("more")])) as workspace,
    ):
        ending = threading.Event()
        daemon = threading.Thread(target=_monitor, args=(workspace, ending), daemon=True)
        daemon.start()
        yield Deployment(instance, workspace)
        ending.set()
        daemon.join(10)


def _monitor(workspace: WorkspaceProcessContext, ending: threading.Event) -> None:
    """What dagster-daemon does for run monitoring, at a shorter interval."""
    while not ending.wait(2):
        for error in execute_run_monitoring_iteration(workspace, logging.getLogger("monitor")):
            if error is not None:
                print(f"monitoring: {error.message}")


@pytest.fixture
def workers() -> Callable[[], dict[str, int]]:
    """The process ids of the workers, by name."""
    return lambda: json.loads(Path(os.environ["DAGSTER_TEST_FLEET"]).read_text())["workers"]
