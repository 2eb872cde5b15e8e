"""What the event log says about one step: how often it started, and whether an attempt has ended."""

from dagster import DagsterInstance


def starts_of(instance: DagsterInstance, run_id: str, step_key: str) -> int:
    """How often the step has started or ended without a start; grows with every start."""
    stats = instance.get_run_step_stats(run_id, step_keys=[step_key])
    return max((one.attempts or 0 for one in stats if one.step_key == step_key), default=0)


def has_ended(instance: DagsterInstance, run_id: str, step_key: str, attempt: int) -> bool:
    """Whether this attempt (from 0) succeeded, failed, was skipped or asked for a retry."""
    stats = instance.get_run_step_stats(run_id, step_keys=[step_key])
    # Each end closes one attempt, and an attempt that died without an end closes none.
    return any(len(one.attempts_list) > attempt for one in stats if one.step_key == step_key)
