-- How a run stands now.
-- $1 run id
select r.state from taskiq.run r where r.id = $1::uuid
