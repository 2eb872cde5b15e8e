"""Dagster steps and runs on a taskiq-aws worker fleet: an executor, a run launcher and a Pipes client."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dagster_taskiq.version import __version__

if TYPE_CHECKING:
    from dagster_taskiq.executor import taskiq_executor
    from dagster_taskiq.launcher import TaskiqRunLauncher
    from dagster_taskiq.pipes import PipesTaskiqClient

__all__ = ["PipesTaskiqClient", "TaskiqRunLauncher", "__version__", "taskiq_executor"]

_MODULES = {"PipesTaskiqClient": "pipes", "TaskiqRunLauncher": "launcher", "taskiq_executor": "executor"}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: the process of a step starts in this package and says before how Dagster is to be loaded, see ``__main__``.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
