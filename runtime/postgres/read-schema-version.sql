-- Which schema the database has.
-- One row: version, the number of the last migration applied, or 0.
select coalesce(max(number), 0) as version
  from taskiq.migration
