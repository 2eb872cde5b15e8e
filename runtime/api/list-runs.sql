-- Runs, newest first, at most so many rows examined.
-- $1 tenant  $2 states text[] or null  $3 job or null
-- $4 label names text[] or null  $5 their values text[]  $6 the same as JSON members text[]: `"name":"value"`
-- $7 created at or after timestamptz or null  $8 created before timestamptz or null
-- $9 and $10 the position the page starts below: microseconds since 1970 and id, or nulls
-- $11 rows to examine at most  $12 rows to return at most
-- One row per run that matches, newest first, and where these are too few, the last row examined once more, without `matches`, if the bound was
-- reached: the page ends there. `at_us`: when it was created, in microseconds.
-- A label with an escape in its JSON is compared as text: `->>` fails on U+0000 and on half a surrogate pair, and would take every other row along.
select r.id, r.job, r.mode, r.state, r.priority, r.labels, r.steps, r.open_steps, r.failed_steps, r.cancelled_steps, r.skipped_steps, r.error,
       r.cancel_requested_at is not null as cancel_requested, r.cancel_reason, r.deadline_at, r.on_finished, r.parent_run_id, r.root_run_id,
       r.created_at, r.finished_at,
       (extract(epoch from r.created_at) * 1000000)::int8 as at_us, page.matches
  from (
         (
           select seen.id, true as matches
             from (
                    select r.id, r.state, r.job, r.labels, r.created_at
                      from taskiq.run r
                     where r.tenant = $1::text
                       and r.created_at >= coalesce($7::timestamptz, '-infinity')
                       and r.created_at < coalesce($8::timestamptz, 'infinity')
                       and (r.created_at, r.id) < (
                             coalesce('epoch'::timestamptz + $9::float8 * interval '1 microsecond', 'infinity'),
                             coalesce($10::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                           )
                     order by r.created_at desc, r.id desc
                     limit $11::int
                  ) seen
            where ($2::text[] is null or seen.state::text = any($2::text[]))
              and ($3::text is null or seen.job = $3::text)
              and ($4::text[] is null or (
                    seen.labels is not null and not exists (
                      select
                        from unnest($4::text[], $5::text[], $6::text[]) as wanted (name, value, member)
                       where not coalesce(
                               case
                                 when strpos(seen.labels::text, '\u') = 0 then seen.labels ->> wanted.name = wanted.value
                                 else strpos(seen.labels::text, '{' || wanted.member) > 0 or strpos(seen.labels::text, ',' || wanted.member) > 0
                               end,
                               false
                             )
                    )
                  ))
            order by seen.created_at desc, seen.id desc
            limit $12::int
         )
         union all
         -- Read from the index alone, and only where the rows above do not fill the page.
         (
           select r.id, false
             from taskiq.run r
            where r.tenant = $1::text
              and r.created_at >= coalesce($7::timestamptz, '-infinity')
              and r.created_at < coalesce($8::timestamptz, 'infinity')
              and (r.created_at, r.id) < (
                    coalesce('epoch'::timestamptz + $9::float8 * interval '1 microsecond', 'infinity'),
                    coalesce($10::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                  )
            order by r.created_at desc, r.id desc
           offset $11::int - 1
            limit 1
         )
         limit $12::int
       ) page
 cross join lateral (select * from taskiq.run where id = page.id limit 1) r
 order by r.created_at desc, r.id desc, page.matches desc
