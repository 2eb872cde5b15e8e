-- Tasks that run, newest first. All are looked at: there are no more than the slots of all workers.
-- $1 tenant  $2 task name or null  $3 queue or null
-- $4 label names text[] or null  $5 their values text[]  $6 the same as JSON members text[]: `"name":"value"`
-- $7 created at or after timestamptz or null  $8 created before timestamptz or null
-- $9 and $10 the position the page starts below: microseconds since 1970 and id, or nulls
-- $11 rows to return at most
-- One row per task that matches. `at_us`: when it was created, in microseconds.
-- A label with an escape in its JSON is compared as text: `->>` fails on U+0000 and on half a surrogate pair, and would take every other row along.
select t.id, t.name, t.queue, t.state, t.attempt, t.failures, t.losses, t.priority, t.labels, t.error, t.worker, t.progress, t.progress_message,
       t.not_before, t.created_at, t.started_at, t.finished_at, t.group_key as ordering_key,
       t.cancel_requested_at is not null as cancel_requested, t.cancel_reason,
       (extract(epoch from t.created_at) * 1000000)::int8 as at_us, true as matches
  from taskiq.task t
 where t.state = 'running'
   and (t.created_at, t.id) < (
         coalesce('epoch'::timestamptz + $9::float8 * interval '1 microsecond', 'infinity'),
         coalesce($10::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
       )
   and t.tenant = $1::text
   and ($2::text is null or t.name = $2::text)
   and ($3::text is null or t.queue = $3::text)
   and ($4::text[] is null or (
         t.labels is not null and not exists (
           select
             from unnest($4::text[], $5::text[], $6::text[]) as wanted (name, value, member)
            where not coalesce(
                    case
                      when strpos(t.labels::text, '\u') = 0 then t.labels ->> wanted.name = wanted.value
                      else strpos(t.labels::text, '{' || wanted.member) > 0 or strpos(t.labels::text, ',' || wanted.member) > 0
                    end,
                    false
                  )
         )
       ))
   and ($7::timestamptz is null or t.created_at >= $7::timestamptz)
   and ($8::timestamptz is null or t.created_at < $8::timestamptz)
 order by t.created_at desc, t.id desc
 limit $11::int
