-- Results of elements of mapped steps, as far as they fit.
-- $1 task ids uuid[], in the order in which they are wanted  $2 most bytes of results together
-- One row per task that exists and succeeded, in that order; `fits` false: with this one they are too large, and its result is left out.
with wanted as (
  select t.id,
         u.place,
         t.result,
         t.result_ref,
         sum(octet_length(t.result::text)) over (order by u.place) as bytes
    from unnest($1::uuid[]) with ordinality as u (id, place)
    join taskiq.task t on t.id = any($1::uuid[]) and t.id = u.id
   where t.state = 'succeeded'
)
select id, coalesce(bytes, 0) <= $2::float8 as fits, case when coalesce(bytes, 0) <= $2::float8 then result end as result, result_ref
  from wanted
 order by place
