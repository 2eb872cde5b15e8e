-- How many tasks a retry by filter is for, and the first of them.
-- $1 tenant  $2 states text[]  $3 task name or null  $4 queue or null
-- $5 label names text[] or null  $6 their values text[]  $7 the same as JSON members text[]: `"name":"value"`
-- $8 created at or after timestamptz or null  $9 created before timestamptz or null
-- $10 as_of timestamptz: only tasks that had ended by then, so that one that fails again is not retried again; null: now  $11 ids to return at most  $12 rows to count at most
-- One row: how many match, the first ids in order, and the time they were counted for, to the millisecond.
with moment as materialized (
  select coalesce($10::timestamptz, date_trunc('milliseconds', now())) as as_of
),
matching as materialized (
  select t.id
    from taskiq.task t
   where t.state in ('failed', 'cancelled')
     -- Steps are repeated with their runs.
     and t.run_id is null
     and t.state::text = any($2::text[])
     and t.tenant = $1::text
     and t.finished_at < (select as_of from moment) + interval '1 millisecond'
     and ($3::text is null or t.name = $3::text)
     and ($4::text is null or t.queue = $4::text)
     and ($5::text[] is null or (
             t.labels is not null and not exists (
               select
                 from unnest($5::text[], $6::text[], $7::text[]) as wanted (name, value, member)
                where not coalesce(
                        case
                          when strpos(t.labels::text, '\u') = 0 then t.labels ->> wanted.name = wanted.value
                          else strpos(t.labels::text, '{' || wanted.member) > 0 or strpos(t.labels::text, ',' || wanted.member) > 0
                        end,
                        false
                      )
             )
         ))
     and ($8::timestamptz is null or t.created_at >= $8::timestamptz)
     and ($9::timestamptz is null or t.created_at < $9::timestamptz)
  limit $12::int
)
select (select count(*)::int from matching) as matched,
       array(select id from matching order by id limit $11::int) as ids,
       (select as_of from moment) as as_of
