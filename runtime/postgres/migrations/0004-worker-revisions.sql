-- The revision of the task definition a worker runs: an old one that is always busy learns that a newer one is there.
alter table taskiq.worker add column revision integer;
