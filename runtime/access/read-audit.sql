-- What was done in all tenants, latest first.
-- $1 only rows before this id  $2 at most so many rows
-- `key_name` is the name of the key that did it; null where it was none, or is forgotten.
select a.id, a.at, a.actor, k.name as key_name, a.tenant, a.action, a.target, a.detail
  from taskiq.audit a
  left join taskiq.api_key k on k.id = a.actor
 where a.id < $1::bigint
 order by a.id desc
 limit $2::int
