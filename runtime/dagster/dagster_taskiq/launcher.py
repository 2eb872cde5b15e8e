"""``TaskiqRunLauncher``: the worker of a run is a task, on a queue of its own so that waiting run workers never take the slots their steps need."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster import _check as check
from dagster._config.config_schema import UserConfigSchema
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._grpc.types import ExecuteRunArgs, ResumeRunArgs
from dagster._serdes import ConfigurableClass
from dagster._serdes.config_class import ConfigurableClassData

from dagster_taskiq.client import Task, TaskiqClient
from dagster_taskiq.commands import EXECUTE_JOB, RESUME_JOB, RUN_LABEL, TASK_LABEL, run_launch_key, run_task
from dagster_taskiq.config import api_settings, launcher_fields, predecessor_messages, task_settings, warn_of_predecessor
from dagster_taskiq.errors import TaskiqUnreachableError
from dagster_taskiq.step_handler import submit_once
from dagster_taskiq.tags import TASK_ID_TAG, priority_of_run

_log = logging.getLogger("dagster_taskiq")

#: A process that is killed is gone that much later at the latest.
_AFTER_GRACE_SECONDS = 5.0
#: Shorter than the API's longest, so that an interrupted web request does not keep a connection for long.
_WAIT_SECONDS = 5
_LOOK_SECONDS = 10.0


class TaskiqRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Configured in dagster.yaml; see the README of this package.

    Args:
        config: ``url``, ``api_key``, ``queue`` (default ``runs``), ``grace_seconds`` and so on.
        client: in place of one made from ``config``.

    Raises:
        TaskiqConfigError: a value cannot be used.
    """

    def __init__(
        self,
        inst_data: ConfigurableClassData | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        client: TaskiqClient | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        given = dict(config or {})
        warn_of_predecessor(given)
        self._inst_data = inst_data
        self._settings = task_settings(given, for_runs=True)
        self._client = client or TaskiqClient(api_settings(given))
        self._now = now
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return launcher_fields()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> "TaskiqRunLauncher":
        return cls(inst_data, config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Raises TaskiqApiError or TaskiqUnreachableError where the task cannot be submitted; Dagster then fails the run."""
        run = context.dagster_run
        args = ExecuteRunArgs(
            job_origin=check.not_none(context.job_code_origin),
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            # How a run ends is told by its events. A task that fails because a run did would ask operators to look at it.
            set_exit_code_on_failure=False,
        )
        self._launch(run, args, resume_attempt=0)

    @property
    def supports_resume_run(self) -> bool:
        return True

    def resume_run(self, context: ResumeRunContext) -> None:
        run = context.dagster_run
        args = ResumeRunArgs(
            job_origin=check.not_none(context.job_code_origin),
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=False,
        )
        self._launch(run, args, resume_attempt=context.resume_attempt_number or 1)

    def terminate(self, run_id: str) -> bool:
        """Cancels every task of the run, and waits for the run's worker at most ``grace_seconds`` + 5 s.

        Dagster's executor does not tell its steps where the run could be resumed, so this does. A run without a live worker to report the end is
        reported canceled here.

        Returns:
            False where there was nothing to terminate, or ``enable_cancellation`` is false.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if not self._settings.enable_cancellation:
            self._instance.report_engine_event("The run is not terminated: enable_cancellation of its launcher is false.", run)
            return False
        if run.status != DagsterRunStatus.CANCELING:
            self._instance.report_run_canceling(run)

        reason = "the Dagster run was terminated"
        task_id = self._task_of(run)
        state = None if task_id is None else self._client.cancel(task_id, reason=reason)
        self._client.cancel_matching({RUN_LABEL: run_id}, reason=reason)
        if task_id is not None and state == "running":
            self._wait_for(task_id, self._settings.grace_seconds + _AFTER_GRACE_SECONDS)
            # What the run's worker launched before it stopped, and could not cancel itself any more.
            self._client.cancel_matching({RUN_LABEL: run_id}, reason=reason)
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished and self._is_over(task_id):
            self._instance.report_run_canceled(run, message="Its tasks were cancelled; no run worker was left to report it.")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Never SUCCESS for a run that is not over: Dagster would wait for it for ever.

        Raises:
            TaskiqUnreachableError: nothing is known. The monitoring daemon asks again; any answer would make it resume or fail the run.
        """
        task_id = self._task_of(run)
        if task_id is None:
            # `dagster job execute`, for example: any other answer would make the daemon start it a second time, or fail it.
            return CheckRunHealthResult(WorkerStatus.RUNNING, "this launcher did not launch the run, and knows nothing of its worker")
        task = self._client.get(task_id, retry_seconds=_LOOK_SECONDS)
        if task is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"task {task_id} is not known to the API any more", run_worker_id=task_id)
        if not task.is_over:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"task {task_id} is {task.state}", run_worker_id=task_id)
        # The run may have ended since it was read.
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS, f"task {task_id} {task.state}, and the run is over", run_worker_id=task_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"{_ended(task)}, and the run is not over", run_worker_id=task_id)

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """What the API knows of the run's task, in a few lines. None where there is no task, or no answer."""
        task_id = run.tags.get(TASK_ID_TAG)
        if task_id is None:
            return None
        try:
            task = self._client.get(task_id, retry_seconds=_LOOK_SECONDS)
        except TaskiqUnreachableError as error:
            return str(error)
        if task is None:
            return f"Task {task_id}: not known to the API any more."
        waits = " Run workers wait here for a slot: look at the queue's maxSlots and at the workers." if task.state == "queued" else ""
        what = _ended(task) if task.is_over else f"task {task_id} is {task.state}"
        return f"On queue {task.queue}: {what}; attempt {task.attempt}, worker {task.worker or 'none'}.{waits}"

    def _task_of(self, run: DagsterRun) -> str | None:
        """The latest task that is the run's worker; also where whoever launched it died before it could write the tag."""
        if task_id := run.tags.get(TASK_ID_TAG):
            return task_id
        found = self._client.find({RUN_LABEL: run.run_id})
        return next((task.id for task in found if task.labels.get(TASK_LABEL) in (EXECUTE_JOB, RESUME_JOB)), None)

    def _launch(self, run: DagsterRun, args: ExecuteRunArgs | ResumeRunArgs, *, resume_attempt: int) -> None:
        key = run_launch_key(run.run_id, resume_attempt)
        body = run_task(args, self._settings, priority=priority_of_run(run.tags), job_name=run.job_name, launch_key=key)
        task_id = submit_once(self._client, body, key)
        self._instance.add_run_tags(run.run_id, {TASK_ID_TAG: task_id})
        self._instance.report_engine_event(f"The run's worker is task {task_id} on queue {self._settings.queue}.", run)
        for line in predecessor_messages(self._inst_config()):
            self._instance.report_engine_event(line, run)

    def _inst_config(self) -> Mapping[str, Any]:
        return {} if self._inst_data is None else self._inst_data.config_dict

    def _wait_for(self, task_id: str, seconds: float) -> None:
        end = self._now() + seconds
        while (left := end - self._now()) > 0:
            task = self._client.get(task_id, wait_seconds=max(1, min(_WAIT_SECONDS, int(left))), retry_seconds=_LOOK_SECONDS)
            if task is None or task.is_over:
                return

    def _is_over(self, task_id: str | None) -> bool:
        if task_id is None:
            return True
        task = self._client.get(task_id)
        return task is None or task.is_over


def _ended(task: Task) -> str:
    where = "" if task.worker is None else f" on worker {task.worker}"
    why = ": ".join(part for part in (task.error_code, task.error_message) if part)
    return f"task {task.id} {task.state}{where}{f': {why}' if why else ''}"
