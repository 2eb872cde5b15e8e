-- Count the tasks that reached their end since the look before, each once, with how long they waited and ran.
-- $1 since_us: where that look ended, in microseconds since 1970; null: there was none
-- $2 max_age_ms: nothing that ended longer ago is counted  $3 interval_ms: ends are counted by intervals of this length
-- At least one row: until_us, where the next look begins; and for each group of ends
--   tenant, queue, task, outcome, interval_ms (its start, in milliseconds since 1970)
--   kind     'all' with the count of the group; 'wait' and 'run' with the count of one bucket of it, for those that were started
--   bucket   of 'wait' (from due to the start of the last attempt) and 'run' (from there to the end): floor(log to the base 1.2 of 1 + ms)
-- A row becomes visible later than the moment in it, which is the start of its transaction. So the look ends where no open transaction can
-- write an end any more; one that has written nothing for a minute only reads, as no statement of ours takes so long.
with horizon as materialized (
  select least(now(), min(a.xact_start)) - interval '10 milliseconds' as until
    from pg_stat_activity a
   where a.datname = current_database()
     and a.pid <> pg_backend_pid()
     and a.backend_type = 'client backend'
     and (a.backend_xid is not null or a.xact_start > now() - interval '1 minute')
),
span as materialized (
  select h.until,
         greatest(
           timestamptz 'epoch' + $1::float8 * interval '1 microsecond',
           now() - $2::float8 * interval '1 millisecond'
         ) as since
    from horizon h
),
ended as materialized (
  select t.tenant,
         t.queue,
         t.name as task,
         t.state as outcome,
         floor(extract(epoch from t.finished_at) * 1000 / $3::float8) * $3::float8 as interval_ms,
         case
           when t.started_at is null then null
           else floor(ln(1 + greatest(extract(epoch from t.started_at - t.not_before), 0)::float8 * 1000) / ln(1.2::float8))::int
         end as wait,
         case
           when t.started_at is null then null
           else floor(ln(1 + greatest(extract(epoch from t.finished_at - t.started_at), 0)::float8 * 1000) / ln(1.2::float8))::int
         end as run
    from taskiq.task t
   where t.finished_at >= (select since from span)
     and t.finished_at < (select until from span)
     -- A run that repeats another keeps the steps that succeeded there: these ended before they were written.
     and t.finished_at >= t.created_at
),
counted as (
  select e.tenant,
         e.queue,
         e.task,
         e.outcome,
         e.interval_ms,
         case when grouping(e.wait) = 0 then 'wait' when grouping(e.run) = 0 then 'run' else 'all' end as kind,
         coalesce(e.wait, e.run) as bucket,
         count(*)::int as count
    from ended e
   group by grouping sets (
     (e.tenant, e.queue, e.task, e.outcome, e.interval_ms),
     (e.tenant, e.queue, e.task, e.outcome, e.interval_ms, e.wait),
     (e.tenant, e.queue, e.task, e.outcome, e.interval_ms, e.run)
   )
)
select (extract(epoch from greatest(s.until, s.since)) * 1000000)::float8 as until_us,
       c.tenant,
       c.queue,
       c.task,
       c.outcome,
       c.interval_ms,
       c.kind,
       c.bucket,
       c.count
  from span s
  -- Ends without a start have no bucket.
  left join counted c on c.kind = 'all' or c.bucket is not null
