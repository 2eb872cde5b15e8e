-- Forget cancellations whose task has not come within a day.
-- $1 at most so many rows
delete from taskiq.tombstone
 where id = any(array(
   select id
     from taskiq.tombstone
    where created_at < now() - interval '1 day'
    order by created_at
    limit $1::int
      for update skip locked
 ))
returning id
