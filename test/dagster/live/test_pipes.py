"""A TypeScript task on the fleet is the external process of a Dagster asset."""

import os
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from conftest import Deployment

from dagster_taskiq import PipesTaskiqClient


def materialize(rows: int, folder: Path | None = None) -> dg.ExecuteInProcessResult:
    # The one that the task's definition allows.
    folder = folder or Path(os.environ["TEST_PIPES_FOLDER"])
    name = uuid4().hex
    client = PipesTaskiqClient(
        context_injector=dg.PipesFileContextInjector(str(folder / f"{name}.json")),
        message_reader=dg.PipesFileMessageReader(str(folder / f"{name}.messages")),
    )

    @dg.asset(check_specs=[dg.AssetCheckSpec("enough", asset="made")])
    def made(context: dg.AssetExecutionContext):
        done = client.run(context=context, task="test.piped", input={"rows": rows}, extras={"answer": 42})
        return done.get_results()

    return dg.materialize([made], instance=dg.DagsterInstance.ephemeral(), raise_on_error=False)


def test_a_task_reports_what_it_made_and_checked(deployment: Deployment):
    result = materialize(rows=3)
    assert result.success
    (made,) = result.asset_materializations_for_node("made")
    assert made.metadata["rows"].value == 3 and isinstance(made.metadata["note"], dg.MarkdownMetadataValue)
    assert made.tags is not None and made.tags["dagster/data_version"] == "7"
    (check,) = result.get_asset_check_evaluations()
    assert check.passed and check.check_name == "enough"
    (found,) = deployment.tasks(result.run_id)
    assert deployment.api.result(found.id) == {"run": result.run_id, "extras": {"answer": 42}}


@pytest.mark.usefixtures("deployment")
def test_a_task_that_fails_fails_its_asset_with_the_reason():
    result = materialize(rows=-1)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    text = failure.step_failure_data.error.to_string()
    assert "DagsterPipesExecutionError" in text and "expected rows, got -1" in text


@pytest.mark.usefixtures("deployment")
def test_a_task_is_not_sent_to_a_folder_that_its_definition_does_not_name(tmp_path: Path):
    result = materialize(rows=3, folder=tmp_path)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert f"the labels name the file {tmp_path}" in failure.step_failure_data.error.to_string()
