-- Why tasks failed within an hour, the most frequent reasons of each tenant.
-- $1 tenants text[]  $2 failed tasks of all tenants to examine at most, the newest  $3 reasons of a tenant at most
-- One row per reason, the most frequent first: tenant, task, code (of the error, else its type), how many tasks failed for it, and of the last one its
-- queue, its message, its id and when it ended.
with failed as materialized (
  select newest.tenant, newest.id, newest.name, newest.queue, newest.error, newest.finished_at
    from (
           select t.tenant, t.id, t.name, t.queue, t.error, t.finished_at
             from taskiq.task t
            where t.state = 'failed'
            order by t.created_at desc, t.id desc
            limit $2::int
         ) newest
   where newest.finished_at >= now() - interval '1 hour'
     and newest.tenant = any($1::text[])
),
reason as (
  select f.tenant,
         f.name as task,
         coalesce(f.error ->> 'code', f.error ->> 'type', 'unknown') as code,
         count(*)::int as count,
         max(f.finished_at) as last_at,
         (array_agg(f.id order by f.finished_at desc, f.id desc))[1] as last_id
    from failed f
   group by 1, 2, 3
),
ranked as (
  select r.*, row_number() over (partition by r.tenant order by r.count desc, r.last_at desc, r.task, r.code) as rank
    from reason r
)
select k.tenant, k.task, f.queue, k.code, f.error ->> 'message' as message, k.count, k.last_at, k.last_id
  from ranked k
  join failed f on f.id = k.last_id
 where k.rank <= $3::int
 order by k.tenant, k.rank
