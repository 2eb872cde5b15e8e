-- How many steps of a run, and how many elements of each mapped step, are in which state.
-- $1 run id
-- One row per mapped step and state, and per state with `of` null for what is no element.
select case when right(t.step_key, 1) = ']' then split_part(t.step_key, '[', 1) end as of,
       t.state,
       count(*)::int as count,
       min(t.started_at) as started_at
  from taskiq.task t
 where t.run_id = $1::uuid
 group by 1, 2
