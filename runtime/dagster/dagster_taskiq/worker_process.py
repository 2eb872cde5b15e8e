"""What a worker starts: ``python -m dagster_taskiq execute_plan | execute_job | resume_job``, with the arguments on standard input.

Each hands over to the same command of Dagster's own command line, in this process. Before that it looks whether the work was begun already: a worker that
drains puts its tasks back into the queue, although Dagster has closed the interrupted step or will resume the run.
"""

import argparse
import base64
import gc
import sys
import zlib
from collections.abc import Sequence

from dagster import DagsterInstance, DagsterRunStatus
from dagster._cli.api import api_cli
from dagster._grpc.types import ExecuteRunArgs, ExecuteStepArgs, ResumeRunArgs
from dagster._serdes import deserialize_value, serialize_value

from dagster_taskiq.commands import EXECUTE_JOB, EXECUTE_PLAN, RESUME_JOB
from dagster_taskiq.step_events import starts_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of them and returns the exit code: 0 also for a step that failed in user code, whose end stands in the event log."""
    parser = argparse.ArgumentParser(prog="python -m dagster_taskiq", description=__doc__)
    parser.add_argument("what", choices=[EXECUTE_PLAN, EXECUTE_JOB, RESUME_JOB])
    parser.add_argument("--starts", type=int, default=0, help="how often the step had started when this was launched")
    options = parser.parse_args(arguments)
    text = sys.stdin.read()
    if options.what == EXECUTE_PLAN:
        return _execute_plan(text, options.starts)
    if options.what == EXECUTE_JOB:
        return _execute_job(text)
    return _dagster("resume_run", text)


def _execute_plan(text: str, starts: int) -> int:
    args = deserialize_value(zlib.decompress(base64.b64decode(text)).decode(), ExecuteStepArgs)
    with _instance(args) as instance:
        if _was_started(instance, args, starts):
            return 0
    return _dagster("execute_step", "--compressed-input-json", text)


def _was_started(instance: DagsterInstance, args: ExecuteStepArgs, starts: int) -> bool:
    # Many keys: the first of them that started says it for all, because they are one launch.
    keys = args.step_keys_to_execute or []
    begun = next((key for key in keys if starts_of(instance, args.run_id, key) > starts), None)
    if begun is None:
        return False
    run = instance.get_run_by_id(args.run_id)
    if run is not None:
        instance.report_engine_event(
            f"{begun} was started by an earlier attempt of the same task, which was interrupted. Not starting it again.",
            run,
            step_key=begun,
        )
    return True


def _execute_job(text: str) -> int:
    args = deserialize_value(text, ExecuteRunArgs)
    with _instance(args) as instance:
        run = instance.get_run_by_id(args.run_id)
    if run is None or run.is_finished:
        print(f"run {args.run_id} is {'unknown' if run is None else run.status.value}: not starting it")
        return 0
    if run.status != DagsterRunStatus.STARTED:
        return _dagster("execute_run", text)
    # An earlier attempt of the same task started the run, and was interrupted in a way that lets it go on.
    resume = ResumeRunArgs(
        job_origin=args.job_origin,
        run_id=args.run_id,
        instance_ref=args.instance_ref,
        set_exit_code_on_failure=args.set_exit_code_on_failure,
    )
    return _dagster("resume_run", serialize_value(resume))


def _instance(args: ExecuteStepArgs | ExecuteRunArgs) -> DagsterInstance:
    return DagsterInstance.from_ref(args.instance_ref) if args.instance_ref else DagsterInstance.get()


def _dagster(*arguments: str) -> int:
    """One command of ``dagster api``, without the limits of a command line."""
    gc.freeze()
    gc.enable()
    try:
        api_cli.main(args=list(arguments), prog_name="dagster api", standalone_mode=False)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
