-- Limits: how many tasks of a key run at once, and how often one starts. A task over a limit is parked: queued, without a doorbell, until a
-- release rings for it under the key's lock. So nothing spins through SQS while a key is full, and no release is missed.

create table taskiq.limit_key (
  key           text primary key,
  running       integer not null default 0,
  -- Null: as many as there are.
  max           integer,
  -- Least time between two starts; null: none.
  interval_ms   float8,
  next_token_at timestamptz not null default '-infinity',
  used_at       timestamptz not null default now(),
  constraint never_more_than_max check (running >= 0 and (max is null or running <= max)),
  constraint interval_is_positive check (interval_ms is null or interval_ms > 0)
) with (fillfactor = 50);

-- The key whose room the task waits for.
alter table taskiq.task add column parked_on text;
-- Its turn at a rate was given to it: it starts at not_before, and takes none again.
alter table taskiq.task add column has_token boolean not null default false;
alter table taskiq.task add constraint parked_is_queued check (parked_on is null or state = 'queued');

create index task_parked on taskiq.task (parked_on, rank, id) where parked_on is not null;
comment on index taskiq.task_parked is 'free-limits.sql, sweep-limits.sql: the best waiter of a key';
