-- Make a task in the transaction this runs in.
-- $1 task: its name  $2 input: JSON, null for null  $3 options: JSON, as migration 0010-enqueue.sql reads them
-- One row: the id of the task, or of the one that the idempotency key made before. Refusals are errors whose detail is `code …`.
select taskiq.enqueue($1::text, $2::json, $3::json) as id
