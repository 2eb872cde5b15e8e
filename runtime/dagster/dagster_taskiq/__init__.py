"""Dagster steps and runs on a taskiq-aws worker fleet: an executor, a run launcher and a Pipes client."""

from dagster_taskiq.executor import taskiq_executor
from dagster_taskiq.launcher import TaskiqRunLauncher
from dagster_taskiq.pipes import PipesTaskiqClient
from dagster_taskiq.version import __version__

__all__ = ["PipesTaskiqClient", "TaskiqRunLauncher", "__version__", "taskiq_executor"]
