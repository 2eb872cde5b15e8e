-- SQS did not take these messages: try them again soon, not only when the lease of this round is over.
-- $1 outbox ids bigint[]  $2 after_ms
-- `skip locked`: a row that somebody holds is being rung again.
update taskiq.outbox
   set send_at = now() + $2::float8 * interval '1 millisecond'
 where id = any(array(
   select id
     from taskiq.outbox
    where id = any($1::bigint[])
    order by id
      for update skip locked
 ))
