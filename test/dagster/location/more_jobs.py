"""Jobs for what interop_jobs.py does not have: steps that die, and the smallest job there is."""

import os
import signal
import time

import dagster as dg
from interop_jobs import executor, journal


@dg.op
def vanishes(context: dg.OpExecutionContext) -> None:
    """Ends its process with code 0 and without a word, as native code that calls exit() does."""
    with journal(context):
        os._exit(0)


@dg.job
def vanishing():
    vanishes()


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def dies_once(context: dg.OpExecutionContext) -> int:
    with journal(context):
        if context.retry_number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return context.retry_number


@dg.job
def dying_once():
    dies_once()


@dg.op(config_schema={"seconds": dg.Field(float, default_value=20.0)})
def naps(context: dg.OpExecutionContext) -> int:
    with journal(context):
        time.sleep(context.op_config["seconds"])
        return 1


@dg.op
def after(context: dg.OpExecutionContext, n: int) -> int:
    with journal(context):
        return n + 1


@dg.job
def napping():
    after(naps())


@dg.job
def smallest():
    after.alias("second")(naps.configured({"seconds": 0.0}, "first")())


@dg.op(config_schema={"count": int}, out=dg.DynamicOut(int))
def spreads(context: dg.OpExecutionContext):
    """The known state of what follows names every output of this."""
    for i in range(context.op_config["count"]):
        # Random, so that it does not compress.
        yield dg.DynamicOutput(i, mapping_key=os.urandom(90).hex())


@dg.op
def counts(context: dg.OpExecutionContext, values: list[int]) -> int:
    with journal(context):
        return len(values)


@dg.job
def wide():
    counts(spreads().collect())


defs = dg.Definitions(jobs=[vanishing, dying_once, napping, smallest, wide], executor=executor())
