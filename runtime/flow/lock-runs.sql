-- Lock runs, in the order of ids: before limit keys and tasks, in a transaction whose later statements see their graphs as they are then.
-- $1 run ids uuid[]
select taskiq.lock_runs($1::uuid[]) as runs
