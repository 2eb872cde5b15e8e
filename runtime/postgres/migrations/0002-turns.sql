-- Turns of the steps that one process at a time may take, and the index for tasks that do not get on.

-- One row per step: whoever finds the last turn old enough takes the next one (take-turn.sql).
create table taskiq.turn (
  name     text primary key,
  -- Counts the turns and is the fence: a process that was overtaken may not write any more.
  number   bigint not null default 1,
  taken_at timestamptz not null default now(),
  -- What the step wants to know next time, whichever process takes it.
  memory   json
) with (fillfactor = 50);

-- A row enters it with its third claim: the happy path never writes to it. `attempt` changes in claims only, and no change of
-- state is a HOT update anyway.
create index task_struggling on taskiq.task (id) where state in ('queued', 'running') and attempt >= 3;
comment on index taskiq.task_struggling is 'read-backlog.sql: unfinished tasks on their third attempt or a later one';
