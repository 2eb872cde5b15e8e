-- Insert edges between steps of a run.
-- $1 parents uuid[]  $2 children uuid[]  $3 optional boolean[]
insert into taskiq.edge (parent, child, optional)
select * from unnest($1::uuid[], $2::uuid[], $3::boolean[]) as e (parent, child, optional)
