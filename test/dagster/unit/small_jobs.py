"""One job for tests that need a real run in a real instance."""

import dagster as dg


@dg.op
def one() -> int:
    return 1


@dg.op(tags={"dagster-taskiq/queue": "special", "dagster-taskiq/priority": "4"})
def two(n: int) -> int:
    return n + 1


@dg.job(executor_def=dg.multiprocess_executor)
def small():
    two(one())


defs = dg.Definitions(jobs=[small])
