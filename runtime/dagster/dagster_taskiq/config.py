"""Every setting of this package: names, defaults and bounds, where each is read, and what became of the predecessor's.

A setting is taken from the executor's or launcher's configuration, else from the environment of the process that starts tasks (code server, web server,
daemon or run worker), else its default.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dagster import Field, IntSource, Noneable, Permissive, StringSource

from dagster_taskiq.errors import TaskiqConfigError

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_QUEUE = "default"
DEFAULT_RUN_QUEUE = "runs"

# Each with its older names, the first that is set wins.
URL_VARIABLES = ("TASKIQ_URL", "DAGSTER_TASKIQ_URL")
KEY_VARIABLES = ("TASKIQ_API_KEY", "DAGSTER_TASKIQ_API_KEY")
QUEUE_VARIABLES = ("DAGSTER_TASKIQ_QUEUE",)
RUN_QUEUE_VARIABLES = ("DAGSTER_TASKIQ_RUN_QUEUE",)
PYTHON_VARIABLES = ("DAGSTER_TASKIQ_PYTHON",)

#: The longest that a ``command`` task may run: 11 h, in seconds.
MAX_TASK_SECONDS = 39_600
#: The longest time between SIGTERM and SIGKILL, in seconds.
MAX_GRACE_SECONDS = 600

_log = logging.getLogger("dagster_taskiq")


@dataclass(frozen=True)
class ApiSettings:
    """Where the API is and how it is asked.

    Attributes:
        url: http or https, without a slash at the end.
        api_key: a key with the scopes enqueue, read, operate and command; None where the API asks for none.
        retry_seconds: how long a request is repeated that gets no usable answer.
        ca_file: certificate authorities of the API's certificate (PEM), instead of the usual ones.
    """

    url: str
    api_key: str | None = None
    retry_seconds: float = 120.0
    ca_file: str | None = None


@dataclass(frozen=True)
class TaskSettings:
    """What the tasks are like that run steps or runs.

    Attributes:
        queue: the name of a queue of the API.
        python: the interpreter on the workers; None for the one that the code location runs with.
        grace_seconds: 0 to 600: time between SIGTERM and SIGKILL of the process group.
        timeout_seconds: 1 to 39,600 (11 h): longest run of one task.
        enable_cancellation: whether terminating stops processes.
    """

    queue: str
    python: str | None
    grace_seconds: int
    timeout_seconds: int
    enable_cancellation: bool


_PREDECESSOR = {
    "queue_url": "the API knows the queues' addresses (TASKIQ_QUEUES); set `queue` to the name of one, and `url` or TASKIQ_URL to the API",
    "region_name": "only the API and the workers talk to AWS; set AWS_REGION there",
    "endpoint_url": "only the API and the workers talk to AWS; set AWS_ENDPOINT_URL there, and here `url` or TASKIQ_URL to the API",
    "config_source": "see its members",
}
_PREDECESSOR_SOURCE = {
    "task_always_eager": "use Dagster's in_process_executor",
    "s3_bucket_name": "set TASKIQ_S3_BUCKET in the API and the workers",
    "s3_endpoint_url": "set AWS_ENDPOINT_URL in the API and the workers",
    "aws_access_key_id": "give the API and the workers a role, or the usual AWS variables",
    "aws_secret_access_key": "give the API and the workers a role, or the usual AWS variables",
    "max_number_of_messages": "a worker polls for as many messages as it has free slots (TASKIQ_WORKER_SLOTS)",
    "worker_max_messages": "a worker polls for as many messages as it has free slots (TASKIQ_WORKER_SLOTS)",
    "wait_time_seconds": "set TASKIQ_RECEIVE_WAIT_MS in the workers",
    "use_task_id_for_deduplication": "nothing replaces it: every launch has an idempotency key",
    "extra_options": "nothing replaces it",
    "is_fair_queue": "set `fair` on the queue in TASKIQ_QUEUES",
    "visibility_timeout": "nothing replaces it: a message is deleted when its task is claimed, and the lease is TASKIQ_LEASE_MS of the workers",
}
_PREDECESSOR_VARIABLES = {
    "DAGSTER_TASKIQ_SQS_QUEUE_URL": "the workers and the API still read it; here only the queue's name counts",
    "DAGSTER_TASKIQ_SQS_ENDPOINT_URL": "the workers and the API still read it",
    "DAGSTER_TASKIQ_S3_BUCKET_NAME": "the workers and the API still read it",
    "DAGSTER_TASKIQ_S3_ENDPOINT_URL": "the workers and the API still read it",
}


def _api_fields() -> dict[str, Field]:
    return {
        "url": Field(
            StringSource,
            is_required=False,
            description=f"Where the taskiq-aws API is. Default: TASKIQ_URL, else {DEFAULT_URL}.",
        ),
        "api_key": Field(
            StringSource,
            is_required=False,
            description="A key with the scopes enqueue, read, operate and command. Default: TASKIQ_API_KEY, else none.",
        ),
        "retry_seconds": Field(
            IntSource,
            default_value=120,
            description="How long a request to the API is repeated while it gives no answer, in seconds, 0 to 3,600.",
        ),
    }


def _task_fields(default_queue: str) -> dict[str, Field]:
    return {
        "queue": Field(
            StringSource,
            is_required=False,
            description=f"The queue of these tasks, by its name in TASKIQ_QUEUES. Default: {default_queue}.",
        ),
        "python": Field(
            Noneable(StringSource),
            is_required=False,
            description="The Python interpreter on the workers. Default: the path of the one that the code location runs with.",
        ),
        "grace_seconds": Field(IntSource, default_value=5, description="Seconds between SIGTERM and SIGKILL of a process that is stopped, 0 to 600."),
        "timeout_seconds": Field(IntSource, default_value=MAX_TASK_SECONDS, description="Longest run of one task in seconds, 1 to 39,600 (11 h)."),
        "enable_cancellation": Field(bool, default_value=True, description="Whether terminating a run stops its processes. False: they run on to their end."),
    }


def _predecessor_fields() -> dict[str, Field]:
    texts = {
        name: Field(Noneable(StringSource), is_required=False, description=f"Not used any more: {advice}.")
        for name, advice in _PREDECESSOR.items()
        if name != "config_source"
    }
    return {
        **texts,
        "config_source": Field(Permissive(), is_required=False, description="Not used any more; each member is named in a warning."),
    }


def executor_fields() -> dict[str, Field]:
    """The part of the executor's configuration that is not Dagster's own."""
    return {
        **_api_fields(),
        **_task_fields(DEFAULT_QUEUE),
        "poll_seconds": Field(float, default_value=0.25, description="How often the event log is read for what steps did, in seconds, from 0.05."),
        "check_step_health_interval_seconds": Field(
            IntSource, default_value=10, description="How often the tasks of running steps are looked at, in seconds, from 1."
        ),
        "lost_after_seconds": Field(
            IntSource,
            default_value=10,
            description="How long after its task has succeeded a step without an end in the event log counts as lost, in seconds, from 0.",
        ),
        **_predecessor_fields(),
    }


def launcher_fields() -> dict[str, Field]:
    """The configuration of the run launcher in dagster.yaml."""
    return {**_api_fields(), **_task_fields(DEFAULT_RUN_QUEUE), **_predecessor_fields()}


def api_settings(config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> ApiSettings:
    """Raises TaskiqConfigError where a value cannot be used."""
    env = os.environ if environment is None else environment
    url = (config.get("url") or _first(env, URL_VARIABLES) or DEFAULT_URL).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TaskiqConfigError(f"url (TASKIQ_URL): expected an http or https URL, got {url!r}. For example {DEFAULT_URL}.")
    return ApiSettings(
        url=url,
        api_key=config.get("api_key") or _first(env, KEY_VARIABLES),
        retry_seconds=float(_within("retry_seconds", config.get("retry_seconds", 120), 0, 3_600)),
        ca_file=_first(env, ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")),
    )


def task_settings(config: Mapping[str, Any], *, for_runs: bool = False, environment: Mapping[str, str] | None = None) -> TaskSettings:
    """Raises TaskiqConfigError where a value cannot be used."""
    env = os.environ if environment is None else environment
    queue = (
        config.get("queue") or _first(env, RUN_QUEUE_VARIABLES) or DEFAULT_RUN_QUEUE
        if for_runs
        else config.get("queue") or _first(env, QUEUE_VARIABLES) or DEFAULT_QUEUE
    )
    return TaskSettings(
        queue=queue,
        python=config.get("python") or _first(env, PYTHON_VARIABLES),
        grace_seconds=_within("grace_seconds", config.get("grace_seconds", 5), 0, MAX_GRACE_SECONDS),
        timeout_seconds=_within("timeout_seconds", config.get("timeout_seconds", MAX_TASK_SECONDS), 1, MAX_TASK_SECONDS),
        enable_cancellation=config.get("enable_cancellation", True),
    )


def predecessor_messages(config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> list[str]:
    """One line for each setting of the predecessor that was given: what replaces it."""
    env = os.environ if environment is None else environment
    given = [name for name in _PREDECESSOR if config.get(name) is not None]
    lines = [f"{name} is not used any more: {_PREDECESSOR[name]}." for name in given if name != "config_source"]
    for name in config.get("config_source") or {}:
        lines.append(f"config_source.{name} is not used any more: {_PREDECESSOR_SOURCE.get(name, 'nothing replaces it')}.")
    lines += [f"{name} has no effect here: {advice}." for name, advice in _PREDECESSOR_VARIABLES.items() if env.get(name)]
    return lines


def warn_of_predecessor(config: Mapping[str, Any]) -> None:
    """Says in the log what replaces each setting of the predecessor. Never raises: an old configuration goes on working."""
    for line in predecessor_messages(config):
        _log.warning("%s", line)


def _first(env: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((env[name] for name in names if env.get(name)), None)


def _within(name: str, value: int, low: int, high: int) -> int:
    if low <= value <= high:
        return value
    raise TaskiqConfigError(f"{name}: expected an integer from {low} to {high}, got {value}.")
