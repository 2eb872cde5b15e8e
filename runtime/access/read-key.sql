-- What a key allows, to be held against the key that was sent.
-- $1 key id text
-- No row: there is no such key. `expires_in_ms` is negative when it has expired, null when it never does.
select id,
       name,
       hash,
       tenant,
       scopes,
       revoked_at is not null as revoked,
       (extract(epoch from expires_at - now()) * 1000)::float8 as expires_in_ms
  from taskiq.api_key
 where id = $1::text
