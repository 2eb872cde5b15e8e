-- Find the tasks that dead letters are about, and lock those that may go back to work.
-- $1 task ids uuid[]  $2 queue text and $3 tenant text: only their tasks are locked; a null tenant: anybody's
-- $4 begin of the redrive, milliseconds since 1970: what failed later is not locked
-- One row per task found: `ours` where queue and tenant are those, `held` the state of a row that is locked now (null: it needs nothing), and `later`
-- where it failed after the begin.
-- Guard: failed and queued rows, locked in id order and waited for; others are left to whoever works on them, and what is parked to the release
-- that will ring for it.
-- `state::text`: found by id whatever the planner knew, see claim.sql.
with held as materialized (
  select t.id, t.state
    from taskiq.task t
   where t.id = any($1::uuid[])
     and t.queue = $2::text
     and ($3::text is null or t.tenant = $3::text)
     and t.state::text in ('failed', 'queued')
     -- A step that failed is repeated with its run.
     and (t.state::text = 'queued' or t.run_id is null)
     and t.parked_on is null
     and (t.state::text = 'queued' or t.finished_at <= to_timestamp($4::float8 / 1000))
   order by t.id
     for update of t
)
select t.id,
       t.name,
       t.error,
       t.queue = $2::text and ($3::text is null or t.tenant = $3::text) as ours,
       held.state as held,
       held.id is null and t.state::text = 'failed' and t.finished_at > to_timestamp($4::float8 / 1000) as later
  from taskiq.task t
  left join held on held.id = t.id
 where t.id = any($1::uuid[])
