-- Move schedules on to their next time, which is to fire them: the tasks are inserted in the same transaction.
-- One array element a schedule, all arrays of one length; no schedule twice.
-- $1 id uuid[]   $2 next_at timestamptz[] as it was read (fence)   $3 next_at timestamptz[]: the new one
-- $4 fired_for timestamptz[], $5 task_id uuid[]: the last time that becomes a task and that task; null where none does
-- $6 firings int[]: how many times become tasks
-- One row a schedule moved, and whether it fires: not while the task of an earlier time has not ended, where overlaps are to be skipped. A schedule that
-- is missing was fired, paused or deleted by another, or another is at it right now: write nothing for it.
with wanted as (
  select *
    from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::uuid[], $6::int[])
      as w (id, was_at, next_at, fired_for, task_id, firings)
),
-- In id order and without waiting: the others have schedules of their own to see to.
held as (
  select s.id
    from taskiq.schedule s
    join wanted w on w.id = s.id
   where s.next_at = w.was_at
     and s.paused_at is null
     and s.disabled_at is null
   order by s.id
     for update of s skip locked
),
judged as (
  select w.*,
         w.firings > 0
           and not (s.overlap = 'skip'
                    and exists (select from taskiq.task t where t.id = s.last_task_id and t.finished_at is null)) as fires
    from held
    join wanted w on w.id = held.id
    join taskiq.schedule s on s.id = held.id
)
update taskiq.schedule s
   set next_at = j.next_at,
       last_fired_for = case when j.fires then j.fired_for else s.last_fired_for end,
       last_task_id = case when j.fires then j.task_id else s.last_task_id end,
       fired = s.fired + case when j.fires then j.firings else 0 end,
       overlapped = s.overlapped + case when j.fires then 0 else j.firings end,
       problem = null
  from judged j
 where s.id = j.id
   and s.next_at = j.was_at
returning s.id, j.fires
