-- Lock runs that have passed their deadline and are not being cancelled, in the order of ids.
-- $1 at most so many
select r.id
  from taskiq.run r
 where r.state = 'running'
   and r.deadline_at < now()
   and r.cancel_requested_at is null
 order by r.id
 limit $1::int
   for update skip locked
