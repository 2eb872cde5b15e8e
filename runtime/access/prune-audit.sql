-- Forget what was done long ago.
-- $1 retention_ms  $2 at most so many rows
delete from taskiq.audit
 where id = any(array(
   select a.id
     from taskiq.audit a
    where a.at < now() - $1::float8 * interval '1 millisecond'
    order by a.at
    limit $2::int
      for update skip locked
 ))
returning id
