-- One run as the API shows it, without its graph.
-- $1 run id  $2 tenant
select r.id, r.job, r.mode, r.state, r.priority, r.labels, r.steps, r.open_steps, r.failed_steps, r.cancelled_steps, r.skipped_steps, r.error,
       r.cancel_requested_at is not null as cancel_requested, r.cancel_reason, r.deadline_at, r.on_finished, r.parent_run_id, r.root_run_id,
       r.created_at, r.finished_at, r.input, r.input_ref
  from taskiq.run r
 where r.id = $1::uuid
   and r.tenant = $2::text
