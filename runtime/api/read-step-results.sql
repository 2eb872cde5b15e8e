-- What steps of a run have resulted in, as far as that is not too much.
-- $1 task ids uuid[]  $2 bytes of JSON to return at most
-- One row per id that exists, in the order they are given. `too_much`: with this one it would be more; it has no result here, as those behind it.
select sized.place, sized.id, sized.state, sized.elements, sized.result_ref, sized.too_much,
       case when not sized.too_much then sized.result end as result
  from (
         select wanted.place::int as place, t.id, t.state, t.elements, t.result, t.result_ref,
                sum(coalesce(octet_length(t.result::text), 0)) over (order by wanted.place) > $2::int as too_much
           from unnest($1::uuid[]) with ordinality as wanted (id, place)
          cross join lateral (select * from taskiq.task t where t.id = wanted.id limit 1) t
       ) sized
 order by sized.place
