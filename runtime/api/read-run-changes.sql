-- Steps of watched runs that have started or ended since a moment; and, for their progress, those that run or wait for their elements.
-- $1 run ids uuid[]  $2 since when float8[] (same order), in microseconds since 1970
-- One row per step. Times in microseconds since 1970. `error`: why it ended.
select t.run_id, t.id, t.step_key, t.name, t.state, t.attempt, t.progress, t.progress_message, t.elements,
       case when t.finished_at is not null then t.error end as error,
       (extract(epoch from t.started_at) * 1000000)::int8 as started_us,
       (extract(epoch from t.finished_at) * 1000000)::int8 as finished_us
  from unnest($1::uuid[], $2::float8[]) as watched (id, since_us)
 cross join lateral (
   select *
     from taskiq.task t
    where t.run_id = watched.id
      and (
        greatest(t.started_at, t.finished_at) >= 'epoch'::timestamptz + watched.since_us * interval '1 microsecond'
        or t.state::text = 'running'
        or (t.elements is not null and t.finished_at is null)
      )
   -- Keeps the scan of one run at a time: by its index, whatever the planner thinks of the others.
   offset 0
 ) t
