"""Tags that say where a step goes and how urgent it is."""

import pytest

from dagster_taskiq.errors import TaskiqConfigError
from dagster_taskiq.tags import priority_of_run, priority_of_step, queue_of_step


def test_the_queue_is_the_steps_then_the_runs_then_the_executors():
    assert queue_of_step({"dagster-taskiq/queue": "gpu"}, {"dagster-taskiq/queue": "night"}, "default") == "gpu"
    assert queue_of_step({"dagster-celery/queue": "old"}, {"dagster-taskiq/queue": "night"}, "default") == "old"
    assert queue_of_step({}, {"dagster-taskiq/queue": "night"}, "default") == "night"
    assert queue_of_step({}, {}, "default") == "default"


def test_the_runs_priority_is_added_to_the_steps_within_bounds():
    assert priority_of_step({"dagster-taskiq/priority": "3"}, {"dagster-taskiq/run_priority": "-5"}) == -2
    assert priority_of_step({"dagster-taskiq/priority": "3", "dagster/priority": "9"}, {}) == 3
    assert priority_of_step({"dagster/priority": "9"}, {}) == 9
    assert priority_of_step({"dagster-taskiq/priority": "90"}, {"dagster-taskiq/run_priority": "90"}) == 100
    assert priority_of_run({"dagster-celery/run_priority": "-200"}) == -100


def test_a_priority_that_is_no_number_names_its_tag():
    with pytest.raises(TaskiqConfigError, match=r"dagster-taskiq/priority: expected a whole number, got 'high'"):
        priority_of_step({"dagster-taskiq/priority": "high"}, {})
