-- Tombstones whose task is here now: it came while the tombstone was made, too late to meet it.
-- $1 at most so many rows
-- One row per tombstone taken away, with its reason: its task is to be cancelled.
delete from taskiq.tombstone
 where id = any(array(
   select s.id
     from taskiq.tombstone s
    where exists (select from taskiq.task t where t.id = s.id)
    order by s.id
    limit $1::int
      for update skip locked
 ))
returning id, reason
