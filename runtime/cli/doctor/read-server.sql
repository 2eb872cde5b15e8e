-- What a server says about itself and about this connection.
-- One row: version (as people write it) and version_number (180001 is 18.1), clock_ms since 1970, whether this connection
-- is encrypted, and whether the server only follows another one (is_standby).
select current_setting('server_version') as version,
       current_setting('server_version_num')::int as version_number,
       extract(epoch from clock_timestamp())::float8 * 1000 as clock_ms,
       coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as is_encrypted,
       pg_is_in_recovery() as is_standby
