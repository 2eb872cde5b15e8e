"""Steps run side by side on two workers, run workers do not take their slots, and what it costs."""

import subprocess
import sys
import time
from datetime import datetime
from statistics import median

from conftest import LOCATION, QUICK, Deployment
from dagster import DagsterEventType

BRANCHES = 12
#: Of both executors in turn.
ROUNDS = 3


def test_twelve_steps_run_side_by_side_on_two_workers(deployment: Deployment):
    run_id = deployment.launch("diamond", tags={"interop/op_seconds": "30"})
    assert deployment.finished(run_id, 900).status.value == "SUCCESS"
    rows = deployment.journal(run_id)
    starts = [row["time"] for row in rows if row["event"] == "start" and row["step"].startswith("branch")]
    ends = [row["time"] for row in rows if row["event"] == "end" and row["step"].startswith("branch")]
    assert len(starts) == BRANCHES
    assert max(starts) < min(ends), "not all were running at one time"
    assert len({row["pid"] for row in rows}) == BRANCHES + 2
    used = {task.worker for task in deployment.tasks(run_id) if task.labels.get("dagster/step_key", "").startswith("branch")}
    assert used == {"worker-1", "worker-2"}


def test_ten_runs_on_four_slots_for_run_workers_all_finish(deployment: Deployment):
    run_ids = [deployment.launch("smallest", location="more") for _ in range(10)]
    began = time.monotonic()
    most = 0
    while any(not deployment.run(one).is_finished for one in run_ids):
        assert time.monotonic() - began < 600
        most = max(most, deployment.running("runs"))
    assert {deployment.status(one) for one in run_ids} == {"SUCCESS"}
    assert most == 4
    print(f"FIGURE ten runs of two steps on four slots for run workers: {time.monotonic() - began:.0f} s")


def test_all_steps_of_a_run_are_one_task_in_the_mode_simple(deployment: Deployment):
    run_id = deployment.launch("linear_chain", {"execution": {"config": {"execution_mode": "simple"}}})
    assert deployment.finished(run_id).status.value == "SUCCESS"
    assert len({row["pid"] for row in deployment.journal(run_id, "start")}) == 1
    assert sorted(task.queue for task in deployment.tasks(run_id)) == ["default", "runs"]


def test_a_known_state_of_more_than_128_kib_reaches_its_step(deployment: Deployment):
    run_id = deployment.launch("wide", {**QUICK, "ops": {"spreads": {"config": {"count": 600}}}}, location="more")
    assert deployment.finished(run_id, 900).status.value == "SUCCESS"
    (task,) = deployment.tasks(run_id, "counts")
    stdin = deployment.api._request("GET", f"/v1/tasks/{task.id}")["input"]["stdin"]
    assert len(stdin) > 131_072
    print(f"FIGURE arguments of a step after a fan-out of 600 with keys of 180 characters: {len(stdin):,} characters")


def test_prints_what_it_costs(deployment: Deployment):
    """Figures for the README; nothing is asserted about times, which are the machine's."""
    run_id = deployment.launch("linear_chain")
    deployment.finished(run_id)
    launched = _times(deployment, run_id, DagsterEventType.STEP_WORKER_STARTING)
    started = _times(deployment, run_id, DagsterEventType.STEP_WORKER_STARTED)
    begun = {
        task.labels["dagster/step_key"]: deployment.api._request("GET", f"/v1/tasks/{task.id}") for task in deployment.tasks(run_id) if task.queue == "default"
    }
    waits = sorted(_seconds(one["started_at"]) - _seconds(one["created_at"]) for one in begun.values())
    whole = sorted(started[step] - launched[step] for step in launched)
    print(f"FIGURE launch_step to the start of the child, median of {len(waits)}: {waits[len(waits) // 2] * 1000:.0f} ms")
    print(f"FIGURE launch_step to Dagster's STEP_WORKER_STARTED (Python and Dagster loaded): {whole[len(whole) // 2]:.2f} s")

    ours, theirs = [], []
    for _ in range(ROUNDS):
        run_id = deployment.launch("diamond")
        # Seldom, so that the watching takes nothing from it.
        deployment.finished(run_id, every=2)
        ours.append(_wall(deployment, run_id))
        theirs.append(_wall(deployment, _under_multiprocess(deployment)))
    print(f"FIGURE 12 ops side by side, this fleet, median and all: {median(ours):.1f} s {_listed(ours)}")
    print(f"FIGURE 12 ops side by side, multiprocess executor: {median(theirs):.1f} s {_listed(theirs)}")
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(f"FIGURE this fleet's time by the multiprocess executor's: {median(ratios):.2f} {_listed(ratios)}")


def _under_multiprocess(deployment: Deployment) -> str:
    # The executor is chosen when the code is loaded, so this needs a process of its own.
    code = (
        "import os; os.environ['INTEROP_EXECUTOR'] = 'multiprocess'\n"
        "import dagster as dg\n"
        "from dagster._core.definitions.reconstruct import ReconstructableRepository\n"
        f"repo = ReconstructableRepository.for_file({str(LOCATION / 'interop_jobs.py')!r}, 'defs', working_directory={str(LOCATION)!r})\n"
        "with dg.DagsterInstance.get() as instance, dg.execute_job(repo.get_reconstructable_job('diamond'), instance=instance) as result:\n"
        "    print('RUN', result.run_id)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("RUN "))


def _wall(deployment: Deployment, run_id: str) -> float:
    stats = deployment.instance.get_run_stats(run_id)
    return stats.end_time - stats.start_time


def _listed(numbers: list[float]) -> str:
    return f"({', '.join(f'{one:.2f}' for one in numbers)})"


def _times(deployment: Deployment, run_id: str, kind: DagsterEventType) -> dict[str, float]:
    entries = deployment.instance.all_logs(run_id, of_type=kind)
    return {entry.dagster_event.step_key: entry.timestamp for entry in entries}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
