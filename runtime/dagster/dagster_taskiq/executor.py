"""``taskiq_executor``: every step a task (``orchestrated``), or all steps of a run in one task (``simple``)."""

from typing import Any

from dagster import Enum, EnumValue, Field, InitExecutorContext, IntSource, Noneable, executor
from dagster import _check as check
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.base import Executor
from dagster._core.executor.step_delegating.step_delegating_executor import StepDelegatingExecutor

from dagster_taskiq.client import TaskiqClient
from dagster_taskiq.config import api_settings, executor_fields, task_settings, warn_of_predecessor
from dagster_taskiq.simple_executor import SimpleExecutor
from dagster_taskiq.step_handler import TaskiqStepHandler

ORCHESTRATED = "orchestrated"
SIMPLE = "simple"

_CONFIG: dict[str, Any] = {
    **executor_fields(),
    "execution_mode": Field(
        Enum("TaskiqExecutionMode", [EnumValue(ORCHESTRATED), EnumValue(SIMPLE)]),
        default_value=ORCHESTRATED,
        description="orchestrated: every step is a task of its own. simple: all steps run one after the other in one task; no pools, no resume.",
    ),
    "max_concurrent": Field(Noneable(IntSource), default_value=None, description="Most steps of one run at once, from 1. Default: no limit."),
    "tag_concurrency_limits": get_tag_concurrency_limits_config(),
    "retries": get_retries_config(),
}


@executor(name="taskiq", config_schema=_CONFIG, requirements=multiple_process_executor_requirements())
def taskiq_executor(init_context: InitExecutorContext) -> Executor:
    """Runs steps on the workers of a taskiq-aws deployment, each in a process of its own.

    Takes ``url``, ``api_key``, ``queue`` and the rest of its configuration as the README of this package says. Raises TaskiqConfigError where a value
    cannot be used.
    """
    config: dict[str, Any] = dict(init_context.executor_config)
    warn_of_predecessor(config)
    client = TaskiqClient(api_settings(config))
    settings = task_settings(config)
    retries = check.not_none(RetryMode.from_config(config["retries"]))
    if config["execution_mode"] == SIMPLE:
        return SimpleExecutor(client, settings, retries)
    return StepDelegatingExecutor(
        TaskiqStepHandler(client, settings, lost_after_seconds=config["lost_after_seconds"]),
        retries=retries,
        sleep_seconds=max(0.05, config["poll_seconds"]),
        check_step_health_interval_seconds=max(1, config["check_step_health_interval_seconds"]),
        max_concurrent=config["max_concurrent"],
        tag_concurrency_limits=config.get("tag_concurrency_limits"),
        # The worker's side has a check of its own, which lets a resumed run start a step again.
        should_verify_step=False,
    )
