"""Steps as tasks: launched, looked at and stopped for Dagster's ``StepDelegatingExecutor``, which reads the event log for what they did."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from dagster import DagsterEvent, DagsterInstance, DagsterRunStatus
from dagster._core.events import EngineEventData
from dagster._core.executor.step_delegating.step_handler.base import CheckStepHealthResult, StepHandler, StepHandlerContext

from dagster_taskiq.client import TaskiqClient
from dagster_taskiq.commands import LAUNCH_LABEL, step_launch_key, step_task
from dagster_taskiq.config import TaskSettings
from dagster_taskiq.errors import TaskiqApiError, TaskiqError, TaskiqUnreachableError
from dagster_taskiq.health import health_of
from dagster_taskiq.launches import ATTEMPT_METADATA, LAUNCH_METADATA, TASK_ID_METADATA, Launch, Launches
from dagster_taskiq.step_events import has_ended, starts_of
from dagster_taskiq.tags import priority_of_step, queue_of_step

_log = logging.getLogger("dagster_taskiq")

#: A look at a task is repeated at the next one anyway; the executor waits meanwhile.
_LOOK_SECONDS = 5.0


class TaskiqStepHandler(StepHandler):
    """One per executor, so one per run.

    Args:
        lost_after_seconds: see ``health_of``.
        now: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        client: TaskiqClient,
        settings: TaskSettings,
        *,
        lost_after_seconds: float = 10,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._settings = settings
        self._lost_after_seconds = lost_after_seconds
        self._now = now
        self._launches_of_run: dict[str, Launches] = {}
        self._over_since: dict[str, float] = {}

    @property
    def name(self) -> str:
        return "TaskiqStepHandler"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        context = step_handler_context
        run, instance = context.dagster_run, context.instance
        step_key, attempt = _step_of(context)
        launches = self._launches(instance, run.run_id)
        number = launches.next_number(step_key, attempt)
        is_first = attempt == 0 and number == 1
        key = step_launch_key(run.run_id, step_key, attempt, number)
        tags = context.step_tags[step_key]
        queue = queue_of_step(tags, run.tags, self._settings.queue)
        body = step_task(
            context.execute_step_args,
            self._settings,
            queue=queue,
            priority=priority_of_step(tags, run.tags),
            job_name=run.job_name,
            launch_key=key,
            starts=0 if is_first else starts_of(instance, run.run_id, step_key),
        )
        task_id = submit_once(self._client, body, key)
        launches.add(step_key, Launch(task_id, attempt, number))
        yield DagsterEvent.step_worker_starting(
            context.get_step_context(step_key),
            message=f'Step "{step_key}" is task {task_id} on queue {queue}.',
            metadata={
                TASK_ID_METADATA: task_id,
                ATTEMPT_METADATA: attempt,
                LAUNCH_METADATA: number,
                "dagster-taskiq/queue": queue,
            },
        )
        self._cancel_if_run_is_ending(instance, run.run_id, task_id)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        context = step_handler_context
        run_id, instance = context.dagster_run.run_id, context.instance
        step_key, attempt = _step_of(context)
        launch = self._launches(instance, run_id).last(step_key, attempt)
        if launch is None:
            # Asked only when a run is resumed: its first worker died before it had launched the step, or before it could write that down.
            return CheckStepHealthResult.unhealthy(f"no task was launched for attempt {attempt + 1} of the step")
        try:
            task = self._client.get(launch.task_id, retry_seconds=_LOOK_SECONDS)
        except TaskiqUnreachableError as error:
            # The step writes its events without the API: an outage is no reason to give it up.
            _log.warning("step %s counts as healthy: %s", step_key, error)
            return CheckStepHealthResult.healthy()
        return health_of(
            launch.task_id,
            task,
            has_ended=lambda: has_ended(instance, run_id, step_key, attempt),
            seconds_over=lambda: self._now() - self._over_since.setdefault(launch.task_id, self._now()),
            lost_after_seconds=self._lost_after_seconds,
        )

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        context = step_handler_context
        step_key, attempt = _step_of(context)
        launch = self._launches(context.instance, context.dagster_run.run_id).last(step_key, attempt)
        if launch is None:
            return
        if not self._settings.enable_cancellation:
            text = f"Task {launch.task_id} goes on to its end: enable_cancellation is false."
        else:
            state = self._client.cancel(launch.task_id, reason="the Dagster run was terminated")
            text = f"Task {launch.task_id} is over." if state is None else f"Task {launch.task_id} was told to stop; it is {state}."
        yield DagsterEvent.engine_event(context.get_step_context(step_key), text, EngineEventData())

    def _cancel_if_run_is_ending(self, instance: DagsterInstance, run_id: str, task_id: str) -> None:
        # Terminating marks the run first and cancels its tasks then: one that came after that is ours to cancel.
        run = instance.get_run_by_id(run_id)
        is_ending = run is None or run.is_finished or run.status == DagsterRunStatus.CANCELING
        if is_ending and self._settings.enable_cancellation:
            self._client.cancel(task_id, reason="the Dagster run is over or being terminated")

    def _launches(self, instance: DagsterInstance, run_id: str) -> Launches:
        if run_id not in self._launches_of_run:
            self._launches_of_run[run_id] = Launches(instance, run_id)
        return self._launches_of_run[run_id]


def submit_once(client: TaskiqClient, body: dict[str, Any], key: str) -> str:
    """The id of the task with this key, made now or before.

    The known state of a step grows while a run goes on, so a run worker that takes over asks with the same key and another body.
    """
    try:
        return client.submit(body, idempotency_key=key)
    except TaskiqApiError as error:
        if error.code != "idempotency_mismatch":
            raise
        found = client.find({LAUNCH_LABEL: key})
        if not found:
            raise TaskiqError(f"expected the task that was made with the key {key}, the API has none with that label.") from error
        return found[0].id


def _step_of(context: StepHandlerContext) -> tuple[str, int]:
    """The step's key and how often it was retried before."""
    args = context.execute_step_args
    keys = args.step_keys_to_execute or []
    if len(keys) != 1:
        raise TaskiqError(f"expected one step at a time, Dagster handed over {len(keys)}.")
    attempt = args.known_state.get_retry_state().get_attempt_count(keys[0]) if args.known_state else 0
    return keys[0], attempt
