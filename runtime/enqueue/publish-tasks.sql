-- Tell SQL what the tasks of this process are, so that `taskiq.enqueue` gives them the policy the API would.
-- One array element a task, all arrays of one length; no name twice.
-- $1 name text[]         $2 queue text[]       $3 priority smallint[]     $4 timeout_ms int[]  $5 grace_ms int[]  $6 max_attempts int[]
-- $7 backoff_ms int[]    $8 max_backoff_ms int[]  $9 max_losses int[]     $10 isolation text[]  $11 on_lost text[]
-- $12 limits json[]: rows of limit_key  $13 makes_keys boolean[]: it has other limits, whose keys are made from the input
-- One row per task that is new or has changed. In the order of names: processes that start together would otherwise deadlock.
insert into taskiq.task_definition as d (
  name, queue, priority, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
  limits, makes_keys
)
select u.*
  from unnest(
    $1::text[], $2::text[], $3::smallint[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[], $10::text[], $11::text[],
    $12::json[], $13::boolean[]
  ) as u (
    name, queue, priority, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    limits, makes_keys
  )
 order by u.name
on conflict (name) do update
   set queue = excluded.queue,
       priority = excluded.priority,
       timeout_ms = excluded.timeout_ms,
       grace_ms = excluded.grace_ms,
       max_attempts = excluded.max_attempts,
       backoff_ms = excluded.backoff_ms,
       max_backoff_ms = excluded.max_backoff_ms,
       max_losses = excluded.max_losses,
       isolation = excluded.isolation,
       on_lost = excluded.on_lost,
       limits = excluded.limits,
       makes_keys = excluded.makes_keys,
       changed_at = now()
 where (d.queue, d.priority, d.timeout_ms, d.grace_ms, d.max_attempts, d.backoff_ms, d.max_backoff_ms, d.max_losses, d.isolation, d.on_lost,
        d.limits::text, d.makes_keys)
       is distinct from (
         excluded.queue, excluded.priority, excluded.timeout_ms, excluded.grace_ms, excluded.max_attempts, excluded.backoff_ms,
         excluded.max_backoff_ms, excluded.max_losses, excluded.isolation, excluded.on_lost,
         excluded.limits::text, excluded.makes_keys
       )
returning name
