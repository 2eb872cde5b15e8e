-- This worker has stopped in good order.
-- $1 name
delete from taskiq.worker where name = $1::text
