-- Stop the workers from claiming from a queue; whatever arrives waits.
-- $1 queue text  $2 who text
-- One row: since when it is paused, and by whom. Who pauses a queue that is paused changes nothing.
insert into taskiq.paused_queue (queue, paused_by)
values ($1::text, $2::text)
on conflict (queue) do update set paused_by = paused_queue.paused_by
returning paused_at, paused_by
