-- Forget workers that have been silent for a day.
delete from taskiq.worker where beat_at < now() - interval '1 day' returning name
