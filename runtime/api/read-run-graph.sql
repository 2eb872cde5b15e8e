-- The graph of a run as it was posted.
-- $1 run id
select graph from taskiq.run where id = $1::uuid
