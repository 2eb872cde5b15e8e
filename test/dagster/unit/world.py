"""A run in a temporary instance, and the context that Dagster's executor hands to a step handler."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.context_creation_job import PlanOrchestrationContextManager, orchestration_context_event_generator
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.step_delegating.step_handler.base import StepHandlerContext
from dagster._grpc.types import ExecuteStepArgs

HERE = Path(__file__).parent


@dataclass
class World:
    instance: dg.DagsterInstance
    run: dg.DagsterRun
    plan_context: object
    plan: object

    def context(self, step_key: str = "one", attempt: int = 0) -> StepHandlerContext:
        known = KnownExecutionState(previous_retry_attempts={step_key: attempt} if attempt else {}, dynamic_mappings={}, ready_outputs=set())
        args = ExecuteStepArgs(
            self.plan_context.reconstructable_job.get_python_origin(),
            self.run.run_id,
            [step_key],
            instance_ref=self.instance.get_ref(),
            retry_mode=RetryMode.DEFERRED,
            known_state=known,
        )
        return StepHandlerContext(self.instance, self.plan_context, [self.plan.get_step_by_key(step_key)], args, self.run)

    def reload(self) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(self.run.run_id)
        assert run is not None
        return run


@contextmanager
def opened(tags: dict[str, str] | None = None, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> Iterator[World]:
    repository = ReconstructableRepository.for_file(str(HERE / "small_jobs.py"), "defs", working_directory=str(HERE))
    job = repository.get_reconstructable_job("small")
    with dg.DagsterInstance.local_temp() as instance:
        plan = create_execution_plan(job)
        run = instance.create_run_for_job(job.get_definition(), tags=tags, job_code_origin=job.get_python_origin(), status=status)
        manager = PlanOrchestrationContextManager(
            context_event_generator=orchestration_context_event_generator,
            job=job,
            execution_plan=plan,
            run_config={},
            dagster_run=run,
            instance=instance,
            raise_on_error=True,
        )
        list(manager.prepare_context())
        yield World(instance, run, manager.get_context(), plan)
