-- Let the workers claim from a queue again.
-- $1 queue text
-- One row where it was paused.
delete from taskiq.paused_queue
 where queue = $1::text
returning queue
