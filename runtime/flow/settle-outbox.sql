-- The messages are on SQS: forget the outbox rows that stood for them.
-- $1 outbox ids bigint[]
-- The id is the fence: whoever rings for the same task again gives the row a new one.
-- Rows: the ids that were still there. A row that is gone was settled by another sender; the doubled message loses at the claim.
-- `skip locked`: a row that somebody holds is being rung again.
delete from taskiq.outbox
 where id = any(array(
   select id
     from taskiq.outbox
    where id = any($1::bigint[])
    order by id
      for update skip locked
 ))
returning id
