-- Since when a message is owed. `send_at` moves with every try, so it cannot tell.
--
-- A migration of its own: one that locked `task` as well could deadlock with statements that lock both.
alter table taskiq.outbox add column created_at timestamptz not null default now();
