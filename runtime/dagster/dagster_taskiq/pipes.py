"""Dagster Pipes with a task as the external process: of TypeScript (``ctx.pipes`` there), or a command of any language.

The bootstrap values go as labels of the task, or as arguments of the command. Labels hold 1,000 characters, so context and messages go by file (one
host), or by S3 with the injector and reader of dagster-aws.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from dagster import AssetExecutionContext, OpExecutionContext, PipesClient, PipesTempFileContextInjector, PipesTempFileMessageReader
from dagster import _check as check
from dagster._annotations import public
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterPipesExecutionError
from dagster._core.pipes.client import PipesClientCompletedInvocation, PipesContextInjector, PipesMessageReader
from dagster._core.pipes.utils import open_pipes_session

from dagster_taskiq.client import Task, TaskiqClient
from dagster_taskiq.commands import JOB_LABEL, RUN_LABEL, STEP_LABEL
from dagster_taskiq.config import api_settings
from dagster_taskiq.errors import TaskiqConfigError

#: The labels that a task's side looks for.
CONTEXT_LABEL = "dagster/pipes_context"
MESSAGES_LABEL = "dagster/pipes_messages"

_LABEL_OF = {"DAGSTER_PIPES_CONTEXT": CONTEXT_LABEL, "DAGSTER_PIPES_MESSAGES": MESSAGES_LABEL}
_MAX_LABEL_CHARS = 1_000
_WAIT_SECONDS = 10
_ONE_ATTEMPT = {"max_attempts": 1, "max_losses": 0, "on_lost": "fail"}


@public
class PipesTaskiqClient(PipesClient):
    """Runs a task on the fleet and takes what it reports.

    Args:
        url, api_key: as in the executor; default TASKIQ_URL and TASKIQ_API_KEY.
        context_injector: default by a temporary file, which needs the worker on this host.
        message_reader: default by a temporary file, likewise.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        context_injector: PipesContextInjector | None = None,
        message_reader: PipesMessageReader | None = None,
        client: TaskiqClient | None = None,
    ) -> None:
        self._client = client or TaskiqClient(api_settings({"url": url, "api_key": api_key}))
        self._context_injector = check.opt_inst_param(context_injector, "context_injector", PipesContextInjector) or (PipesTempFileContextInjector())
        self._message_reader = check.opt_inst_param(message_reader, "message_reader", PipesMessageReader) or PipesTempFileMessageReader()

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    def run(  # type: ignore[override]
        self,
        *,
        context: OpExecutionContext | AssetExecutionContext,
        task: str | None = None,
        input: Any = None,
        argv: Sequence[str] | None = None,
        extras: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        labels: Mapping[str, str] | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> PipesClientCompletedInvocation:
        """Submits the task, waits for its end, and hands over what it reported.

        Args:
            task, input: the name of a task and its input; or
            argv: the program of a ``command`` task. It gets ``--dagster-pipes-context`` and ``--dagster-pipes-messages``.
            extras: for the other side, as JSON.
            queue, priority, labels, policy: as in ``POST /v1/tasks``. Unless the policy says otherwise the task has one attempt and fails when its
                worker is lost: a second attempt would report into the session of the first, and an asset may be reported once. Let Dagster
                retry the step.

        Raises:
            DagsterPipesExecutionError: the task failed or was cancelled.
            TaskiqConfigError: not exactly one of ``task`` and ``argv``, or bootstrap values that are too long for labels.
        """
        if (task is None) == (argv is None):
            raise TaskiqConfigError("expected either task or argv, for a command.")
        with open_pipes_session(
            context=context,
            extras=dict(extras or {}),
            context_injector=self._context_injector,
            message_reader=self._message_reader,
        ) as session:
            body: dict[str, Any] = {"labels": {**_labels_of(context), **(labels or {})}}
            if argv is not None:
                arguments = [text for pair in session.get_bootstrap_cli_arguments().items() for text in pair]
                body |= {"task": "command", "input": {"argv": [*argv, *arguments], "awsCredentials": "inherit"}}
            else:
                body |= {"task": task, "input": input}
                body["labels"] |= _bootstrap_labels(session.get_bootstrap_env_vars())
            given = {"queue": queue, "priority": priority, "policy": {**_ONE_ATTEMPT, **(policy or {})}}
            body |= {name: value for name, value in given.items() if value is not None}
            # For this request alone: one whose answer was lost does not make a second task.
            key = f"dagster-pipes:{context.run_id}:{session.context_data['retry_number']}:{uuid4().hex}"
            task_id = self._client.submit(body, idempotency_key=key)
            context.log.info(f"Pipes: task {task_id}")
            ended = self._follow(task_id)
        if ended.state != "succeeded":
            why = ": ".join(part for part in (ended.error_code, ended.error_message) if part)
            raise DagsterPipesExecutionError(f"task {task_id} {ended.state}{f': {why}' if why else ''}")
        return PipesClientCompletedInvocation(session, metadata={"dagster-taskiq/task_id": task_id})

    def _follow(self, task_id: str) -> Task:
        try:
            while True:
                task = self._client.get(task_id, wait_seconds=_WAIT_SECONDS)
                if task is None:
                    raise DagsterPipesExecutionError(f"task {task_id} is not known to the API any more")
                if task.is_over:
                    return task
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            self._client.cancel(task_id, reason="the Dagster step was interrupted")
            raise


def _labels_of(context: OpExecutionContext | AssetExecutionContext) -> dict[str, str]:
    step = context.get_step_execution_context().step.key
    return {RUN_LABEL: context.run_id, JOB_LABEL: context.job_name[:_MAX_LABEL_CHARS], STEP_LABEL: step[:_MAX_LABEL_CHARS]}


def _bootstrap_labels(variables: Mapping[str, str]) -> dict[str, str]:
    labels = {_LABEL_OF[name]: value for name, value in variables.items() if name in _LABEL_OF}
    for name, value in labels.items():
        if len(value) > _MAX_LABEL_CHARS:
            raise TaskiqConfigError(
                f"{name}: expected at most {_MAX_LABEL_CHARS} characters, got {len(value)}. Hand the context over by file or S3 instead of the environment."
            )
    return labels
