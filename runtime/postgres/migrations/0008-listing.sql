-- What it takes to list tasks newest first and to find those that an operator looks for, at a million rows. The order of UUIDv7 ids is
-- that of their times, so the primary key lists our own tasks; only the other ids need an index, and our own never write to it.
--
-- A claim and a success write to neither index: a submission pays for one entry, 2.5 % of what a task costs the database in all. An index on
-- created_at for every row would cost 5.5 %, one on the name 10 %.

create index task_foreign on taskiq.task (created_at, id) where (get_byte(uuid_send(id), 6) & 240) <> 112;
comment on index taskiq.task_foreign is 'list-by-creation.sql: tasks whose id is no UUIDv7, newest first';

create index task_by_state on taskiq.task (state, created_at, id)
  where state in ('blocked', 'queued', 'failed', 'cancelled', 'skipped');
comment on index taskiq.task_by_state is 'list-by-state.sql, match-cancellable.sql, match-retryable.sql: tasks that wait or ended without success';
