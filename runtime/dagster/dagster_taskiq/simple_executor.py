"""The mode ``simple``: one task runs all steps, one after the other in one process, and this side waits for it and reads the event log.

Fewer processes and messages, and nothing to pick up after a crash: a lost task fails the run, whose steps can then be executed again from the failure.
"""

import time
from collections.abc import Iterator

from dagster import DagsterEvent, DagsterEventType
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.base import Executor
from dagster._grpc.types import ExecuteStepArgs
from dagster._utils.interrupts import pop_captured_interrupt

from dagster_taskiq.client import Task, TaskiqClient
from dagster_taskiq.commands import step_launch_key, step_task
from dagster_taskiq.config import TaskSettings
from dagster_taskiq.errors import TaskiqError, TaskiqUnreachableError
from dagster_taskiq.step_handler import submit_once
from dagster_taskiq.tags import priority_of_step, queue_of_step

_PAUSE_SECONDS = 1.0
_PAGE = 1_000
_LOOK_SECONDS = 5.0
#: In place of a step's key: one task stands for all of them.
_ALL_STEPS = "*"
_ENDS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SKIPPED}


class SimpleExecutor(Executor):
    """One per run."""

    def __init__(self, client: TaskiqClient, settings: TaskSettings, retries: RetryMode) -> None:
        self._client = client
        self._settings = settings
        self._retries = retries
        self._cursor: str | None = None

    @property
    def retries(self) -> RetryMode:
        return self._retries

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        run = plan_context.dagster_run
        key = step_launch_key(run.run_id, _ALL_STEPS, 0, 1)
        body = step_task(
            ExecuteStepArgs(
                job_origin=plan_context.reconstructable_job.get_python_origin(),
                run_id=run.run_id,
                step_keys_to_execute=execution_plan.step_keys_to_execute,
                instance_ref=plan_context.instance.get_ref(),
                # There is nobody else to try a step again.
                retry_mode=self._retries,
                known_state=execution_plan.known_state,
                should_verify_step=False,
                print_serialized_events=False,
            ),
            self._settings,
            queue=queue_of_step({}, run.tags, self._settings.queue),
            priority=priority_of_step({}, run.tags),
            job_name=run.job_name,
            launch_key=key,
            starts=0,
        )
        # A run that is resumed asks with the same key, and follows the task that it has.
        task_id = submit_once(self._client, body, key)
        DagsterEvent.engine_event(plan_context, f"All steps are task {task_id}.", EngineEventData(metadata={"dagster-taskiq/task_id": task_id}))

        open_steps: dict[str, bool] = {}
        while True:
            if pop_captured_interrupt():
                self._terminate(plan_context, task_id)
                raise DagsterExecutionInterruptedError("the run was told to stop")
            # In this order: what the process wrote before its end is read after it.
            task = self._look(task_id)
            for event in self._new_events(plan_context):
                if event.step_key and event.event_type in (DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED):
                    open_steps[event.step_key] = True
                if event.step_key and event.event_type in _ENDS:
                    open_steps.pop(event.step_key, None)
                yield event
            if task is not None and task.is_over:
                break
            time.sleep(_PAUSE_SECONDS)
        if task.state != "succeeded" or open_steps:
            raise TaskiqError(_lost(task, list(open_steps)))

    def _look(self, task_id: str) -> Task | None:
        """None while the API gives no answer."""
        try:
            task = self._client.get(task_id, retry_seconds=_LOOK_SECONDS)
        except TaskiqUnreachableError:
            return None
        if task is None:
            raise TaskiqError(f"task {task_id} is not known to the API any more, so the rest of the run is lost.")
        return task

    def _new_events(self, plan_context: PlanOrchestrationContext) -> Iterator[DagsterEvent]:
        while True:
            page = plan_context.instance.get_records_for_run(plan_context.run_id, self._cursor, of_type=set(DagsterEventType), limit=_PAGE)
            self._cursor = page.cursor
            for record in page.records:
                event = record.event_log_entry.dagster_event
                # This process's own events of the run would come twice.
                if event is not None and event.step_key is not None:
                    yield event
            if not page.has_more:
                return

    def _terminate(self, plan_context: PlanOrchestrationContext, task_id: str) -> None:
        if plan_context.instance.run_will_resume(plan_context.run_id) or not self._settings.enable_cancellation:
            return
        self._client.cancel(task_id, reason="the Dagster run was terminated")


def _lost(task: Task, open_steps: list[str]) -> str:
    where = "" if task.worker is None else f" on worker {task.worker}"
    during = f" while {', '.join(open_steps)} ran" if open_steps else ""
    why = ": ".join(part for part in (task.error_code, task.error_message) if part) or f"it {task.state} without an end of its steps"
    return f"task {task.id}, which runs all steps, ended{where}{during}: {why}"
