-- Lock those runs that nobody holds at this moment, in the order of ids: one that is busy must not hold up what is to be done for the others.
-- $1 run ids uuid[]
-- One row per run locked.
select r.id
  from taskiq.run r
 where r.id = any($1::uuid[])
 order by r.id
   for update skip locked
