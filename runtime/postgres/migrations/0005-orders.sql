-- Cancelling ahead, paused queues, and the two other ways a queue may be ordered: by group (FIFO) and by rank (priority).

-- A cancellation for an id that nobody has seen yet: the task that comes later is refused. Kept for a day.
create table taskiq.tombstone (
  id         uuid primary key,
  reason     text,
  created_at timestamptz not null default now()
);
create index tombstone_age on taskiq.tombstone (created_at);
comment on index taskiq.tombstone_age is 'prune-tombstones.sql: oldest first';

-- Workers claim nothing from these queues; whatever arrives waits.
create table taskiq.paused_queue (
  queue     text primary key,
  paused_at timestamptz not null default now(),
  paused_by text
);

-- The place of a task in its group: its due time when it was accepted, which no retry changes. Null outside FIFO queues.
alter table taskiq.task add column ordered_at timestamptz;
-- Set on queues ordered by priority: only their rows pay for the index.
alter table taskiq.task add column by_rank boolean not null default false;
alter table taskiq.task add constraint grouped_has_order check ((group_key is null) = (ordered_at is null));

create index task_group on taskiq.task (queue, group_key, ordered_at, id)
  where group_key is not null and state = 'queued';
comment on index taskiq.task_group is 'claim-group.sql: the first task of a group that waits';
-- Not luck: the second claim of a group fails, whatever it saw.
create unique index one_running_task_per_group on taskiq.task (queue, group_key)
  where group_key is not null and state = 'running';
create index task_by_rank on taskiq.task (queue, rank, id) where by_rank and state = 'queued';
comment on index taskiq.task_by_rank is 'claim-best.sql: the best due task of a queue';
