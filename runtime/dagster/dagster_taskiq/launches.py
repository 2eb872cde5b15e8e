"""Which task runs which attempt of a step.

The first launch of an attempt is number 1. A run that is resumed launches what died again with the same attempt, so that number goes on. It is counted in
the event log, where every launch that was answered stands: a run worker that dies between the request and the event asks with the same number again, and gets
the task that is there already.
"""

from dataclasses import dataclass

from dagster import DagsterEvent, DagsterEventType, DagsterInstance
from dagster._core.events import EngineEventData

#: Metadata of the event STEP_WORKER_STARTING.
TASK_ID_METADATA = "dagster-taskiq/task_id"
ATTEMPT_METADATA = "dagster-taskiq/attempt"
LAUNCH_METADATA = "dagster-taskiq/launch"


@dataclass(frozen=True)
class Launch:
    """Attempt from 0, number from 1."""

    task_id: str
    attempt: int
    number: int


class Launches:
    """The launches of one run, read once and then kept up to date by `add`."""

    def __init__(self, instance: DagsterInstance, run_id: str) -> None:
        self._last: dict[str, Launch] = {}
        for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_WORKER_STARTING):
            event = entry.dagster_event
            launch = None if event is None else _launch_in(event)
            if event is not None and event.step_key is not None and launch is not None:
                self._last[event.step_key] = launch

    def last(self, step_key: str, attempt: int) -> Launch | None:
        """The latest launch of this attempt; None where there was none."""
        found = self._last.get(step_key)
        return found if found is not None and found.attempt == attempt else None

    def next_number(self, step_key: str, attempt: int) -> int:
        last = self.last(step_key, attempt)
        return 1 if last is None else last.number + 1

    def add(self, step_key: str, launch: Launch) -> None:
        self._last[step_key] = launch


def _launch_in(event: DagsterEvent) -> Launch | None:
    data = event.event_specific_data
    if not isinstance(data, EngineEventData):
        return None
    values = {name: value.value for name, value in data.metadata.items()}
    task_id, attempt, number = (values.get(name) for name in (TASK_ID_METADATA, ATTEMPT_METADATA, LAUNCH_METADATA))
    if not isinstance(task_id, str) or not isinstance(attempt, int) or not isinstance(number, int):
        return None
    return Launch(task_id, attempt, number)
