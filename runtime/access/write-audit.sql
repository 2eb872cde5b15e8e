-- Record who did what to what.
-- $1 actor text  $2 tenant text  $3 action text  $4 target text or null  $5 detail as JSON text, or null
insert into taskiq.audit (actor, tenant, action, target, detail)
values ($1::text, $2::text, $3::text, $4::text, $5::json)
