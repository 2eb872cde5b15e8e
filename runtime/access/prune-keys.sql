-- Forget keys that ended long ago.
-- $1 retention_ms
delete from taskiq.api_key
 where coalesce(revoked_at, expires_at) < now() - $1::float8 * interval '1 millisecond'
returning id
