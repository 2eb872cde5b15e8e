"""Whether a step is still being worked on, from its task and from the event log. Pure: what is asked for is handed in.

queued, running            healthy; a worker that dies loses its lease, and the API then fails the task
over, the step has ended   healthy; the executor reads the end next
failed, cancelled, gone    lost
succeeded, no end          lost after `lost_after_seconds`: the process ended without a word, as one does that finds its step started by another
"""

from collections.abc import Callable

from dagster._core.executor.step_delegating.step_handler.base import CheckStepHealthResult

from dagster_taskiq.client import Task


def health_of(
    task_id: str,
    task: Task | None,
    *,
    has_ended: Callable[[], bool],
    seconds_over: Callable[[], float],
    lost_after_seconds: float,
) -> CheckStepHealthResult:
    """The health of the step that task ``task_id`` runs.

    Args:
        task: as the API shows it; None where it knows none.
        has_ended: whether the event log has the end of this attempt; asked only when the task is over.
        seconds_over: for how long the task has been known to be over.
    """
    if task is not None and not task.is_over:
        return CheckStepHealthResult.healthy()
    if has_ended():
        return CheckStepHealthResult.healthy()
    if task is None:
        return CheckStepHealthResult.unhealthy(f"task {task_id} is not known to the API any more. Finished tasks are kept for TASKIQ_RETENTION_MS.")
    if task.state == "succeeded":
        if seconds_over() < lost_after_seconds:
            return CheckStepHealthResult.healthy()
        return CheckStepHealthResult.unhealthy(f"the process of task {task_id}{_where(task)} ended with code 0, but the step has no end in the event log")
    what = "was cancelled" if task.state == "cancelled" else "failed"
    why = ": ".join(part for part in (task.error_code, task.error_message) if part)
    return CheckStepHealthResult.unhealthy(f"task {task_id} {what}{_where(task)}{f': {why}' if why else ''}")


def _where(task: Task) -> str:
    return "" if task.worker is None else f" on worker {task.worker}"
