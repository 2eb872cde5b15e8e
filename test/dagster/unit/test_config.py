"""Settings, and what is said about the predecessor's."""

import logging

import pytest

from dagster_taskiq.config import api_settings, executor_fields, launcher_fields, predecessor_messages, task_settings, warn_of_predecessor
from dagster_taskiq.errors import TaskiqConfigError


def test_takes_the_configuration_then_the_environment_then_the_default():
    env = {"TASKIQ_URL": "https://tasks.example.com/", "DAGSTER_TASKIQ_URL": "http://old", "TASKIQ_API_KEY": "tq_1"}
    assert api_settings({"url": "http://given"}, env).url == "http://given"
    assert api_settings({}, env).url == "https://tasks.example.com"
    assert api_settings({}, {"DAGSTER_TASKIQ_URL": "http://old"}).url == "http://old"
    assert api_settings({}, {}).url == "http://127.0.0.1:8080"
    assert api_settings({}, env).api_key == "tq_1"


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://"])
def test_refuses_an_address_that_is_none(url: str):
    with pytest.raises(TaskiqConfigError, match="TASKIQ_URL"):
        api_settings({"url": url}, {})


def test_steps_go_to_the_default_queue_and_run_workers_to_their_own():
    assert task_settings({}, environment={}).queue == "default"
    assert task_settings({}, for_runs=True, environment={}).queue == "runs"
    assert task_settings({}, environment={"DAGSTER_TASKIQ_QUEUE": "python"}).queue == "python"


@pytest.mark.parametrize(("name", "value"), [("grace_seconds", 601), ("timeout_seconds", 0), ("timeout_seconds", 39_601)])
def test_refuses_what_the_api_would_refuse_later(name: str, value: int):
    with pytest.raises(TaskiqConfigError, match=name):
        task_settings({name: value}, environment={})


OLD = {
    "queue_url": "https://sqs/q.fifo",
    "region_name": "eu-west-1",
    "endpoint_url": "http://localhost:4566",
    "config_source": {
        name: "x"
        for name in [
            "task_always_eager",
            "s3_bucket_name",
            "s3_endpoint_url",
            "aws_access_key_id",
            "max_number_of_messages",
            "worker_max_messages",
            "wait_time_seconds",
            "use_task_id_for_deduplication",
            "extra_options",
            "is_fair_queue",
            "visibility_timeout",
        ]
    },
}


def test_every_setting_of_the_predecessor_is_accepted_and_told_what_replaces_it(caplog: pytest.LogCaptureFixture):
    fields = [executor_fields(), launcher_fields()]
    assert all(name in given for name in OLD for given in fields)
    lines = predecessor_messages(OLD, {})
    assert len(lines) == 3 + len(OLD["config_source"])
    assert [line.split(" ")[0] for line in lines[:4]] == ["queue_url", "region_name", "endpoint_url", "config_source.task_always_eager"]
    with caplog.at_level(logging.WARNING, "dagster_taskiq"):
        warn_of_predecessor(OLD)
    assert caplog.messages[: len(lines)] == lines


def test_a_variable_of_the_predecessor_is_told_that_workers_read_it():
    (line,) = predecessor_messages({}, {"DAGSTER_TASKIQ_SQS_QUEUE_URL": "https://sqs/q"})
    assert line.startswith("DAGSTER_TASKIQ_SQS_QUEUE_URL has no effect here")


def test_says_nothing_to_who_comes_from_nowhere():
    assert predecessor_messages({"url": "http://x"}, {"TASKIQ_URL": "http://x"}) == []
