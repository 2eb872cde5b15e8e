-- A third kind of isolation: the attempt is a command of any language, in a process group of its own.

alter table taskiq.task drop constraint isolation_known;
-- Not validated: the list has only grown, and reading every row for it would hold up the table.
alter table taskiq.task
  add constraint isolation_known check (isolation in ('inline', 'process', 'command')) not valid;
