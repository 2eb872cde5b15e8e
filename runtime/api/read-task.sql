-- One task as the API shows it.
-- $1 task id  $2 tenant
select id,
       name,
       queue,
       state,
       attempt,
       failures,
       losses,
       priority,
       labels,
       input,
       input_ref,
       result,
       result_ref,
       error,
       worker,
       progress,
       progress_message,
       not_before,
       created_at,
       started_at,
       finished_at,
       group_key as ordering_key,
       cancel_requested_at is not null as cancel_requested,
       cancel_reason,
       run_id,
       step_key,
       timeout_ms,
       max_attempts,
       trace_context
  from taskiq.task
 where id = $1::uuid
   and tenant = $2::text
