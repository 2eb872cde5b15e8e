-- Tell SQL the limits that submitting has in this process.
-- $1 inline_payload_bytes  $2 max_delay_ms  $3 idempotency_ttl_ms
-- One row when something has changed.
update taskiq.submit_limits
   set inline_payload_bytes = $1::int,
       max_delay_ms = $2::bigint,
       idempotency_ttl_ms = $3::bigint
 where (inline_payload_bytes, max_delay_ms, idempotency_ttl_ms) is distinct from ($1::int, $2::bigint, $3::bigint)
returning is_only_row
