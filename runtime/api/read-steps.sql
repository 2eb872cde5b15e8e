-- Steps of a run by their ids, in the order they are given.
-- $1 task ids uuid[]  $2 states text[] or null  $3 rows to return at most
-- One row per id that exists, in one of these states. `place`: where it stands in the list, from 1.
select wanted.place::int as place, t.id, t.step_key, t.name, t.queue, t.state, t.attempt, t.failures, t.losses, t.elements, t.error, t.worker,
       t.progress, t.progress_message, t.not_before, t.created_at, t.started_at, t.finished_at
  from unnest($1::uuid[]) with ordinality as wanted (id, place)
 cross join lateral (
   select * from taskiq.task t where t.id = wanted.id and ($2::text[] is null or t.state::text = any($2::text[])) limit 1
 ) t
 order by wanted.place
 limit $3::int
