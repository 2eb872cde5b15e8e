-- Note that a key was used.
-- $1 key id text
-- Guard: at most once a minute, however many processes see it used.
update taskiq.api_key
   set last_used_at = now()
 where id = $1::text
   and (last_used_at is null or last_used_at < now() - interval '1 minute')
