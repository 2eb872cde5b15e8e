-- Tasks whose id is a UUIDv7, newest first by the primary key, at most so many rows examined: a filter that hardly ever matches costs a page no
-- more than one that always does.
-- $1 tenant  $2 states text[] or null  $3 task name or null  $4 queue or null
-- $5 label names text[] or null  $6 their values text[]  $7 the same as JSON members text[]: `"name":"value"`
-- $8 created at or after timestamptz or null  $9 created before timestamptz or null
-- $10 first id uuid and $11 the id it stays below uuid: the times and the position, as ids
-- $12 rows to examine at most  $13 rows to return at most
-- One row per task that matches, newest first, and where these are too few, the last row examined once more, without `matches`, if the bound was
-- reached: the page ends there. `at_us`: the time in its id, in microseconds.
-- A label with an escape in its JSON is compared as text: `->>` fails on U+0000 and on half a surrogate pair, and would take every other row along.
select t.id, t.name, t.queue, t.state, t.attempt, t.failures, t.losses, t.priority, t.labels, t.error, t.worker, t.progress, t.progress_message,
       t.not_before, t.created_at, t.started_at, t.finished_at, t.group_key as ordering_key,
       t.cancel_requested_at is not null as cancel_requested, t.cancel_reason,
       ('x' || translate(left(t.id::text, 13), '-', ''))::bit(48)::int8 * 1000 as at_us, page.matches
  from (
         (
           select seen.id, true as matches
             from (
                    select t.id, t.tenant, t.state, t.name, t.queue, t.labels, t.created_at
                      from taskiq.task t
                     where t.id >= $10::uuid
                       and t.id < $11::uuid
                       and (get_byte(uuid_send(t.id), 6) & 240) = 112
                     order by t.id desc
                     limit $12::int
                  ) seen
            where seen.tenant = $1::text
              and ($2::text[] is null or seen.state::text = any($2::text[]))
              and ($3::text is null or seen.name = $3::text)
              and ($4::text is null or seen.queue = $4::text)
              and ($5::text[] is null or (
                    seen.labels is not null and not exists (
                      select
                        from unnest($5::text[], $6::text[], $7::text[]) as wanted (name, value, member)
                       where not coalesce(
                               case
                                 when strpos(seen.labels::text, '\u') = 0 then seen.labels ->> wanted.name = wanted.value
                                 else strpos(seen.labels::text, '{' || wanted.member) > 0 or strpos(seen.labels::text, ',' || wanted.member) > 0
                               end,
                               false
                             )
                    )
                  ))
              and ($8::timestamptz is null or seen.created_at >= $8::timestamptz)
              and ($9::timestamptz is null or seen.created_at < $9::timestamptz)
            order by seen.id desc
            limit $13::int
         )
         union all
         -- Read from the index alone, and only where the rows above do not fill the page.
         (
           select t.id, false
             from taskiq.task t
            where t.id >= $10::uuid
              and t.id < $11::uuid
              and (get_byte(uuid_send(t.id), 6) & 240) = 112
            order by t.id desc
           offset $12::int - 1
            limit 1
         )
         limit $13::int
       ) page
 cross join lateral (select * from taskiq.task where id = page.id limit 1) t
 order by t.id desc, page.matches desc
