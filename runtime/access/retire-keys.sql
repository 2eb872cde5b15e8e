-- Give the places of expired keys of a name free.
-- $1 tenant text  $2 name text
-- One row per key retired, which had ended already. Rows are locked in id order.
update taskiq.api_key
   set revoked_at = expires_at
 where id = any(array(
   select k.id
     from taskiq.api_key k
    where k.tenant = $1::text
      and k.name = $2::text
      and k.revoked_at is null
      and k.expires_at < now()
    order by k.id
      for update
 ))
returning id
