-- The workers that have said something within a day, with what each runs.
-- $1 lost_ms: silence after which a worker is taken for dead  $2 name: only this one; null: all  $3 at most so many workers
-- $4 at most so many ids of running tasks a worker
-- One row per worker, in the order of names. `running`: as it said last; `running_tasks`: as the rows of the tasks say now.
with busy as (
  select t.worker, (array_agg(t.id order by t.id))[1:$4::int] as ids
    from taskiq.task t
   where t.state = 'running'
     and ($2::text is null or t.worker = $2::text)
   group by t.worker
)
select w.name,
       w.version,
       w.revision,
       case
         when w.beat_at < now() - $1::float8 * interval '1 millisecond' then 'lost'
         when w.draining then 'draining'
         else 'alive'
       end as state,
       w.queues,
       w.slots,
       w.running,
       coalesce(busy.ids, '{}') as running_tasks,
       w.started_at,
       w.beat_at
  from taskiq.worker w
  left join busy on busy.worker = w.name
 where $2::text is null
    or w.name = $2::text
 order by w.name
 limit $3::int
