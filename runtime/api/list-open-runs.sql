-- Runs that are not over, newest first, at most so many rows examined. Few beside those that are: they have an index of their own.
-- $1 tenant  $2 job or null
-- $3 label names text[] or null  $4 their values text[]  $5 the same as JSON members text[]: `"name":"value"`
-- $6 created at or after timestamptz or null  $7 created before timestamptz or null
-- $8 and $9 the position the page starts below: microseconds since 1970 and id, or nulls
-- $10 rows to examine at most  $11 rows to return at most
-- Rows as those of list-runs.sql.
select r.id, r.job, r.mode, r.state, r.priority, r.labels, r.steps, r.open_steps, r.failed_steps, r.cancelled_steps, r.skipped_steps, r.error,
       r.cancel_requested_at is not null as cancel_requested, r.cancel_reason, r.deadline_at, r.on_finished, r.parent_run_id, r.root_run_id,
       r.created_at, r.finished_at,
       (extract(epoch from r.created_at) * 1000000)::int8 as at_us, page.matches
  from (
         (
           select seen.id, true as matches
             from (
                    select r.id, r.tenant, r.job, r.labels, r.created_at
                      from taskiq.run r
                     where r.state = 'running'
                       and r.created_at >= coalesce($6::timestamptz, '-infinity')
                       and r.created_at < coalesce($7::timestamptz, 'infinity')
                       and (r.created_at, r.id) < (
                             coalesce('epoch'::timestamptz + $8::float8 * interval '1 microsecond', 'infinity'),
                             coalesce($9::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                           )
                     order by r.created_at desc, r.id desc
                     limit $10::int
                  ) seen
            where seen.tenant = $1::text
              and ($2::text is null or seen.job = $2::text)
              and ($3::text[] is null or (
                    seen.labels is not null and not exists (
                      select
                        from unnest($3::text[], $4::text[], $5::text[]) as wanted (name, value, member)
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
            limit $11::int
         )
         union all
         -- Read from the index alone, and only where the rows above do not fill the page.
         (
           select r.id, false
             from taskiq.run r
            where r.state = 'running'
              and r.created_at >= coalesce($6::timestamptz, '-infinity')
              and r.created_at < coalesce($7::timestamptz, 'infinity')
              and (r.created_at, r.id) < (
                    coalesce('epoch'::timestamptz + $8::float8 * interval '1 microsecond', 'infinity'),
                    coalesce($9::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                  )
            order by r.created_at desc, r.id desc
           offset $10::int - 1
            limit 1
         )
         limit $11::int
       ) page
 cross join lateral (select * from taskiq.run where id = page.id limit 1) r
 order by r.created_at desc, r.id desc, page.matches desc
