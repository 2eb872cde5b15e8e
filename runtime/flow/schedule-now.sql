-- The database's time, in milliseconds since 1970: what a new schedule is counted from.
select floor(extract(epoch from now()) * 1000)::float8 as now_ms
