-- Take the next turn of a step that one process at a time may take, if the last turn is old enough.
-- $1 name of the step  $2 every_ms: least time between two turns
-- One row: the turn is ours, with its number (the fence), what earlier turns stored (null: nothing) and the database's time in
-- milliseconds since 1970. No row: another process has had it. One that waits here for the row compares its own, older now().
insert into taskiq.turn as t (name)
values ($1::text)
on conflict (name) do update
   set number = t.number + 1,
       taken_at = now()
 where t.taken_at <= now() - $2::float8 * interval '1 millisecond'
    -- A database whose clock was set back must not stop the step until the old time comes again.
    or t.taken_at > now() + interval '1 minute'
returning t.number, t.memory, (extract(epoch from now()) * 1000)::float8 as now_ms
