"""The bodies of the tasks that run steps and runs: each is a ``command`` that starts this package on a worker.

What a process needs to know goes by its standard input. That has no limit, where Linux allows an argument or a variable 128 KiB: the known state of
a step after a fan-out of 20,000 is 212 KB. So no variable has to be allowed for callers either.
"""

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from dagster._core.origin import JobPythonOrigin
from dagster._grpc.types import ExecuteRunArgs, ExecuteStepArgs, ResumeRunArgs
from dagster._serdes import serialize_value

from dagster_taskiq.config import TaskSettings

#: Entry points of ``python -m dagster_taskiq``, under the names that the predecessor's tasks had.
EXECUTE_PLAN = "execute_plan"
EXECUTE_JOB = "execute_job"
RESUME_JOB = "resume_job"

RUN_LABEL = "dagster/run_id"
JOB_LABEL = "dagster/job"
STEP_LABEL = "dagster/step_key"
TASK_LABEL = "dagster-taskiq/task"
LAUNCH_LABEL = "dagster-taskiq/launch"

_MAX_LABEL_CHARS = 1_000


def step_launch_key(run_id: str, step_key: str, attempt: int, launch: int) -> str:
    """The idempotency key of one launch of a step: visible ASCII, at most 255 characters, whatever the step is called.

    Args:
        attempt: how often the step was retried before, from 0.
        launch: from 1. A resumed run launches what died again with the same attempt.
    """
    step = hashlib.sha256(step_key.encode()).hexdigest()[:32]
    return f"dagster-step:{run_id}:{step}:{attempt}:{launch}"


def run_launch_key(run_id: str, resume_attempt: int) -> str:
    """The idempotency key of a run's worker. ``resume_attempt`` is 0 for the first one."""
    return f"dagster-run:{run_id}:{resume_attempt}"


def step_task(
    args: ExecuteStepArgs,
    settings: TaskSettings,
    *,
    queue: str,
    priority: int,
    job_name: str,
    launch_key: str,
    starts: int,
) -> dict[str, Any]:
    """The task that runs the steps of ``args``. ``starts``: how often they have started before; see ``worker_process``."""
    keys = args.step_keys_to_execute or []
    labels = _labels(args.run_id, job_name, EXECUTE_PLAN, launch_key)
    if len(keys) == 1:
        labels[STEP_LABEL] = keys[0][:_MAX_LABEL_CHARS]
    text = base64.b64encode(zlib.compress(serialize_value(args).encode())).decode()
    argv = [_python(settings, args.job_origin), "-m", "dagster_taskiq", EXECUTE_PLAN, "--starts", str(starts)]
    return _command(argv, text, settings, queue=queue, priority=priority, labels=labels)


def run_task(args: ExecuteRunArgs | ResumeRunArgs, settings: TaskSettings, *, priority: int, job_name: str, launch_key: str) -> dict[str, Any]:
    """The task that is the worker of a run."""
    name = RESUME_JOB if isinstance(args, ResumeRunArgs) else EXECUTE_JOB
    argv = [_python(settings, args.job_origin), "-m", "dagster_taskiq", name]
    labels = _labels(args.run_id, job_name, name, launch_key)
    return _command(argv, serialize_value(args), settings, queue=settings.queue, priority=priority, labels=labels)


def _labels(run_id: str, job_name: str, task: str, launch_key: str) -> dict[str, str]:
    return {RUN_LABEL: run_id, JOB_LABEL: job_name[:_MAX_LABEL_CHARS], TASK_LABEL: task, LAUNCH_LABEL: launch_key}


def _python(settings: TaskSettings, origin: JobPythonOrigin) -> str:
    # The origin also carries the code's file and folder: workers need the same paths anyway.
    return settings.python or origin.executable_path or "python"


def _command(
    argv: Sequence[str],
    stdin: str,
    settings: TaskSettings,
    *,
    queue: str,
    priority: int,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "task": "command",
        "queue": queue,
        "priority": priority,
        "labels": labels,
        "input": {
            "argv": list(argv),
            "stdin": stdin,
            "timeoutMs": settings.timeout_seconds * 1_000,
            "awsCredentials": "inherit",
        },
        # Dagster decides what is tried again: it would not know of an attempt that starts by itself.
        "policy": {"max_attempts": 1, "max_losses": 0, "on_lost": "fail", "grace_ms": settings.grace_seconds * 1_000},
    }
