-- Delete idempotency keys that have expired.
-- $1 at most so many rows
delete from taskiq.idempotency
 where (namespace, key) in (
   select namespace, key
     from taskiq.idempotency
    where expires_at < now()
    order by expires_at
    limit $1::int
      for update skip locked
 )
returning task_id
