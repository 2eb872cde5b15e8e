-- What an idempotency key stands for: the losers of submit.sql read it here, in a new statement.
-- $1 namespace text[]  $2 key text[]
-- One row per key that is held and has not expired.
select i.namespace,
       i.key,
       i.request_hash,
       i.task_id
  from unnest($1::text[], $2::text[]) as wanted (namespace, key)
  join taskiq.idempotency i using (namespace, key)
 where i.expires_at > now()
