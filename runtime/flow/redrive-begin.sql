-- Read the time a redrive begins at: what fails later waits for the next one.
-- One row: the database's time in milliseconds since 1970.
select (extract(epoch from now()) * 1000)::float8 as now_ms
