-- Refuse tasks that are not there yet: a cancellation may arrive before the task it is for.
-- $1 task ids uuid[]  $2 reason text  $3 at most so many tombstones are kept: anybody who may send to the cancel queue can make them
-- One row per tombstone. An id that has a row in `task` gets none.
insert into taskiq.tombstone (id, reason)
select u.id, $2::text
  from (select distinct id from unnest($1::uuid[]) as v (id)) u
 where not exists (select from taskiq.task t where t.id = u.id)
   and (select count(*) from taskiq.tombstone) < $3::bigint
 order by u.id
on conflict (id) do nothing
returning id
