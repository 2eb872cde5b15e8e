-- Add a key in one of the two places that its name has.
-- $1 key id text  $2 SHA-256 of the key bytea  $3 name text  $4 tenant text  $5 scopes text[]  $6 life_ms from now: null never ends  $7 by whom text
-- $8 place smallint, 1 or 2
-- One row, the key without its hash; none when another live key has the place.
insert into taskiq.api_key (id, hash, name, tenant, scopes, slot, created_by, expires_at)
values ($1::text, $2::bytea, $3::text, $4::text, $5::text[], $8::smallint, $7::text, now() + $6::float8 * interval '1 millisecond')
on conflict (tenant, name, slot) where revoked_at is null do nothing
returning id, name, tenant, scopes, created_at, created_by, expires_at, revoked_at, revoked_by, last_used_at
