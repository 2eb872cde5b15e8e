-- Count the runs that reached their end in a span.
-- $1 since_us  $2 until_us: from there and up to there, in microseconds since 1970; $2 is where read-completions.sql looked up to
-- One row a job and outcome: job (null: a graph of no job), outcome, count. A run that was resumed meanwhile is not over.
select r.job,
       r.state as outcome,
       count(*)::int as count
  from taskiq.run r
 where r.finished_at >= timestamptz 'epoch' + $1::float8 * interval '1 microsecond'
   and r.finished_at < timestamptz 'epoch' + $2::float8 * interval '1 microsecond'
 group by r.job, r.state
