-- Create a schedule.
-- $1 id uuid          $2 tenant           $3 name              $4 task          $5 input json        $6 queue or null
-- $7 priority or null $8 ordering_key or null  $9 labels json or null
-- $10 cron or null    $11 time_zone or null    $12 interval_ms or null           $13 anchor_at
-- $14 catch_up        $15 catch_up_limit  $16 overlap          $17 paused: starts when it is resumed
-- $18 next_at         $19 request_hash or null
-- One row: created. No row: its id (the same idempotency key) or its name is taken.
insert into taskiq.schedule (
  id, tenant, name, task, input, queue, priority, ordering_key, labels,
  cron, time_zone, interval_ms, anchor_at, catch_up, catch_up_limit, overlap, paused_at, next_at, request_hash
)
values (
  $1::uuid, $2::text, $3::text, $4::text, $5::json, $6::text, $7::smallint, $8::text, $9::json,
  $10::text, $11::text, $12::bigint, $13::timestamptz, $14::text, $15::int, $16::text,
  case when $17::boolean then now() end, $18::timestamptz, $19::bytea
)
on conflict do nothing
returning id
