-- The keys, newest first, without their hashes.
-- $1 tenant text: only its keys; null: all  $2 at most so many rows
select id, name, tenant, scopes, created_at, created_by, expires_at, revoked_at, revoked_by, last_used_at
  from taskiq.api_key
 where $1::text is null
    or tenant = $1::text
 order by created_at desc, id
 limit $2::int
