"""Tags of ops, jobs and runs that say where their tasks go and how urgent they are. Those of dagster-celery are read where ours are not set."""

from collections.abc import Mapping

from dagster_taskiq.errors import TaskiqConfigError

#: Run tag that this package writes: the task of the run's worker. Steps have it in the metadata of their events.
TASK_ID_TAG = "dagster-taskiq/task_id"

_QUEUE_TAGS = ("dagster-taskiq/queue", "dagster-celery/queue")
_PRIORITY_TAGS = ("dagster-taskiq/priority", "dagster-celery/priority", "dagster/priority")
_RUN_PRIORITY_TAGS = ("dagster-taskiq/run_priority", "dagster-celery/run_priority")
_MIN_PRIORITY = -100
_MAX_PRIORITY = 100


def queue_of_step(step_tags: Mapping[str, str], run_tags: Mapping[str, str], default: str) -> str:
    """The op's tag, else the run's, else the executor's queue."""
    return _first(step_tags, _QUEUE_TAGS) or _first(run_tags, _QUEUE_TAGS) or default


def priority_of_step(step_tags: Mapping[str, str], run_tags: Mapping[str, str]) -> int:
    """The op's priority and the run's added up, kept within -100 to 100. Higher starts earlier where the queue is ordered by priority.

    Raises:
        TaskiqConfigError: a tag is no whole number.
    """
    return _bounded(_number(step_tags, _PRIORITY_TAGS) + _number(run_tags, _RUN_PRIORITY_TAGS))


def priority_of_run(run_tags: Mapping[str, str]) -> int:
    """That of the run's worker. Raises TaskiqConfigError where the tag is no whole number."""
    return _bounded(_number(run_tags, (*_RUN_PRIORITY_TAGS, "dagster/priority")))


def _first(tags: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((tags[name] for name in names if tags.get(name)), None)


def _number(tags: Mapping[str, str], names: tuple[str, ...]) -> int:
    for name in names:
        text = tags.get(name)
        if text:
            try:
                return int(text)
            except ValueError:
                raise TaskiqConfigError(f"tag {name}: expected a whole number, got {text!r}. For example 5.") from None
    return 0


def _bounded(priority: int) -> int:
    return min(max(priority, _MIN_PRIORITY), _MAX_PRIORITY)
