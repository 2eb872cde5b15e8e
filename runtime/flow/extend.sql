-- Renew the leases of this process's attempts, store their progress, and hear what changed.
-- $1 task ids uuid[]  $2 attempt int[] (fence, same order)  $3 lease_ms  $4 progress float8[] (0 to 1) or null  $5 progress_message text[] or null
-- One row per attempt renewed; cancelled_ms: how long ago its cancel flag was set, else null. `skip locked`: an attempt inside its own commit holds its row, and one slow
-- commit must not cost the others their leases; so an attempt that is missing is lost only if read-attempts.sql says so.
-- `id = any($1)` and `state::text`: found by id whatever the planner knew, see claim.sql.
with mine as (
  select *
    from unnest($1::uuid[], $2::int[], $4::float8[], $5::text[]) as u (id, attempt, progress, progress_message)
),
held as materialized (
  select t.id
    from taskiq.task t
    join mine on mine.id = t.id and mine.attempt = t.attempt
   where t.id = any($1::uuid[])
     and t.state::text = 'running'
   order by t.id
     for update of t skip locked
)
update taskiq.task t
   set lease_until = now() + $3::float8 * interval '1 millisecond',
       -- In ten-thousandths: a double next to zero is out of range for a real, and would cost everybody in the batch the lease.
       progress = coalesce(round(mine.progress::numeric, 4)::real, t.progress),
       progress_message = coalesce(mine.progress_message, t.progress_message)
  from mine
  join held using (id)
 where t.id = any($1::uuid[])
   and t.id = mine.id
   and t.attempt = mine.attempt
   and t.state::text = 'running'
returning t.id, t.attempt, (extract(epoch from clock_timestamp() - t.cancel_requested_at) * 1000)::float8 as cancelled_ms
