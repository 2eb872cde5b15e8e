-- End a key.
-- $1 key id text  $2 tenant text: only a key of this tenant; null: of any  $3 by whom text
-- One row, the key without its hash and whether it was live before; none when there is no such key. One that was revoked stays as it is.
with held as materialized (
  select k.id, k.revoked_at is null as was_live
    from taskiq.api_key k
   where k.id = $1::text
     and ($2::text is null or k.tenant = $2::text)
     for update of k
)
update taskiq.api_key k
   set revoked_at = coalesce(k.revoked_at, now()),
       revoked_by = case when held.was_live then $3::text else k.revoked_by end
  from held
 where k.id = held.id
returning k.id, k.name, k.tenant, k.scopes, k.created_at, k.created_by, k.expires_at, k.revoked_at, k.revoked_by, k.last_used_at,
          held.was_live
