"""Every job of the code location, against what Dagster's multiprocess executor made of it."""

import json
from pathlib import Path

import pytest
from conftest import GOLDEN, Deployment
from event_lists import comparable, summary

EXPECTED = json.loads((GOLDEN / "dagster-events.json").read_text())
RUNS = {run["name"]: run for run in EXPECTED["runs"] if "multiprocess" in run["executors"]}
TAGS = {"partitioned_job": {"dagster/partition": "b"}}
CONFIG = {"priorities": {"execution": {"config": {"max_concurrent": 1}}}}
FROM_FAILURE = ", from failure"
# Ended from outside: test_terminate.py has that.
NAMES = [name for name in RUNS if "SIGINT" not in name]


@pytest.fixture(scope="module")
def run_ids(deployment: Deployment) -> dict[str, str]:
    """All are launched at once, and followed by their tests."""
    deployment.instance.event_log_storage.set_concurrency_slots("interop_pool", 1)
    first = [name for name in NAMES if not name.endswith(FROM_FAILURE)]
    ids = {name: deployment.launch(RUNS[name]["job"], CONFIG.get(name, RUNS[name]["run_config"]), TAGS.get(RUNS[name]["job"])) for name in first}
    for name in NAMES:
        if name.endswith(FROM_FAILURE):
            parent = ids[name.removesuffix(FROM_FAILURE)]
            deployment.finished(parent, 900)
            ids[name] = deployment.reexecute(parent)
    return ids


@pytest.mark.parametrize("name", NAMES)
def test_has_the_same_outcomes_and_events_as_under_the_multiprocess_executor(deployment: Deployment, run_ids: dict[str, str], name: str):
    deployment.finished(run_ids[name], 900)
    assert comparable(summary(deployment.instance, run_ids[name])) == comparable(RUNS[name])


def test_starts_steps_by_their_priority(deployment: Deployment, run_ids: dict[str, str]):
    deployment.finished(run_ids["priorities"], 900)
    order = [row["step"] for row in deployment.journal(run_ids["priorities"], "start")]
    assert order == EXPECTED["priority_start_order"]["multiprocess"]


def test_runs_every_step_attempt_once(deployment: Deployment, run_ids: dict[str, str]):
    for name, run_id in run_ids.items():
        deployment.finished(run_id, 900)
        starts = [(row["step"], row["attempt"]) for row in deployment.journal(run_id, "start")]
        assert len(starts) == len(set(starts)), name


def test_writes_the_task_of_the_run_and_of_each_step_back(deployment: Deployment, run_ids: dict[str, str]):
    run = deployment.finished(run_ids["linear_chain"], 900)
    tasks = {task.id: task for task in deployment.tasks(run.run_id)}
    assert tasks[run.tags["dagster-taskiq/task_id"]].queue == "runs"
    assert sorted(task.queue for task in tasks.values()) == ["default"] * 5 + ["runs"]
    assert {task.state for task in tasks.values()} == {"succeeded"}


def test_has_a_copy_of_the_expected_events_that_says_its_versions():
    assert EXPECTED["versions"]["dagster"] in (Path(__file__).parents[1] / "requirements.txt").read_text()
