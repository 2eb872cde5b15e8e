-- Enqueue from SQL: `select taskiq.enqueue(...)` makes a task inside the caller's transaction, so that it exists when the caller's own rows do,
-- and not otherwise. What the processes are configured with, and SQL cannot know, they write into the three tables when they start.

-- The tasks that the processes define. Kept when no process defines one any more: another release may.
create table taskiq.task_definition (
  name           text primary key,
  queue          text not null,
  priority       smallint not null,
  timeout_ms     integer not null,
  grace_ms       integer not null,
  max_attempts   integer not null,
  backoff_ms     integer not null,
  max_backoff_ms integer not null,
  max_losses     integer not null,
  isolation      text not null,
  on_lost        text not null,
  -- [{"key": …, "max": …, "interval_ms": …}], as rows of limit_key.
  limits         json not null,
  -- Some of its limits have keys that are made from the input, by code that SQL has not.
  makes_keys     boolean not null,
  changed_at     timestamptz not null default now()
);

-- The queues that the processes are configured with.
create table taskiq.queue_definition (
  name       text primary key,
  -- FIFO: its tasks have a group.
  is_fifo    boolean not null,
  -- Ordered by priority.
  by_rank    boolean not null,
  -- Limits of the queue as a whole; null: none.
  max        integer,
  interval_ms float8,
  changed_at timestamptz not null default now()
);

-- TASKIQ_INLINE_PAYLOAD_BYTES, TASKIQ_MAX_DELAY_MS, TASKIQ_IDEMPOTENCY_TTL_MS: their defaults until a process says otherwise.
create table taskiq.submit_limits (
  is_only_row          boolean primary key default true,
  inline_payload_bytes integer not null default 65536,
  max_delay_ms         bigint not null default 31536000000,
  idempotency_ttl_ms   bigint not null default 86400000,
  constraint one_row_at_most check (is_only_row)
);
insert into taskiq.submit_limits default values;

-- UUIDv7. The twelve bits after the milliseconds are their fraction, so that tasks of one transaction sort as they were enqueued: `now()` stands
-- still there, and the order within a group falls back on the id.
create function taskiq.new_id(at timestamptz) returns uuid
  language sql volatile parallel safe
  return (
    select encode(
             set_byte(
               set_byte(
                 overlay(uuid_send(gen_random_uuid()) placing substring(int8send(us / 1000) from 3) from 1 for 6),
                 6, 112 | ((us % 1000 * 4096 / 1000) >> 8)::integer
               ),
               7, (us % 1000 * 4096 / 1000 & 255)::integer
             ),
             'hex'
           )::uuid
      from (select floor(extract(epoch from at) * 1000000)::bigint as us) moment
  );

-- A text as SQS takes it for a group; the same as sqsGroupOf in runtime/model/queue.ts, or one group would become two.
create function taskiq.group_of(key text) returns text
  language sql immutable parallel safe
  return case
    when key collate "C" ~ '^[!-~]{1,128}$' then key
    else 'sha256:' || encode(sha256(convert_to(key, 'UTF8')), 'hex')
  end;

-- Ends the statement with a message for people; `detail` has the stable code for programs.
create function taskiq.refuse(code text, message text, advice text) returns void
  language plpgsql
as $$
begin
  raise exception using
    errcode = case when code in ('task_exists', 'idempotency_mismatch') then 'unique_violation' else 'invalid_parameter_value' end,
    message = 'taskiq.enqueue: ' || message,
    detail = 'code ' || code,
    hint = advice;
end
$$;

-- A whole number out of the options, or null where it is left out.
create function taskiq.option_integer(options jsonb, path text[], lowest bigint, highest bigint) returns bigint
  language plpgsql
as $$
declare
  value jsonb := options #> path;
begin
  if value is null or value = 'null' then
    return null;
  end if;
  if jsonb_typeof(value) = 'number' and mod(value::numeric, 1) = 0 and value::numeric between lowest and highest then
    return value::numeric::bigint;
  end if;
  perform taskiq.refuse(
    'request_invalid',
    format('options.%s: expected an integer from %s to %s, got %s', array_to_string(path, '.'), lowest, highest, left(value::text, 80)),
    'Correct the option or leave it out.'
  );
end
$$;

-- A text out of the options, or null where it is left out.
create function taskiq.option_text(options jsonb, path text[], most integer) returns text
  language plpgsql
as $$
declare
  value jsonb := options #> path;
begin
  if value is null or value = 'null' then
    return null;
  end if;
  if jsonb_typeof(value) = 'string' and char_length(options #>> path) between 1 and most then
    return options #>> path;
  end if;
  perform taskiq.refuse(
    'request_invalid',
    format('options.%s: expected a text of 1 to %s characters, got %s', array_to_string(path, '.'), most, left(value::text, 80)),
    'Correct the option or leave it out.'
  );
end
$$;

-- One of a few words out of the options, or null where it is left out.
create function taskiq.option_word(options jsonb, path text[], words text[]) returns text
  language plpgsql
as $$
declare
  word text := options #>> path;
begin
  if word is not null and word <> all (words) then
    perform taskiq.refuse(
      'request_invalid',
      format('options.%s: expected one of %s, got %s', array_to_string(path, '.'), array_to_string(words, ', '), left((options #> path)::text, 80)),
      'Correct the option or leave it out.'
    );
  end if;
  return word;
end
$$;

-- When the task may start at the earliest: options.not_before, or options.delay_seconds from now on.
create function taskiq.option_due(options jsonb, at timestamptz, max_delay_ms bigint) returns timestamptz
  language plpgsql
as $$
declare
  delay jsonb := nullif(options -> 'delay_seconds', 'null');
  moment jsonb := nullif(options -> 'not_before', 'null');
  due timestamptz := at;
begin
  if delay is not null and moment is not null then
    perform taskiq.refuse('request_invalid', 'options: expected delay_seconds or not_before, got both', 'Leave one of them out.');
  end if;
  if delay is not null then
    if jsonb_typeof(delay) <> 'number' or delay::numeric < 0 or delay::numeric * 1000 > max_delay_ms then
      perform taskiq.refuse(
        'request_invalid',
        format('options.delay_seconds: expected a number from 0 to %s, got %s', max_delay_ms / 1000, left(delay::text, 80)),
        'Correct it, or raise TASKIQ_MAX_DELAY_MS.'
      );
    end if;
    due := at + round(delay::numeric * 1000)::float8 * interval '1 millisecond';
  end if;
  if moment is not null then
    begin
      -- Without an offset the session's time zone would decide.
      if options ->> 'not_before' !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|[+-]\d\d(:?\d\d)?)$' then
        raise invalid_datetime_format;
      end if;
      due := (options ->> 'not_before')::timestamptz;
    exception when data_exception then
      perform taskiq.refuse(
        'request_invalid',
        format('options.not_before: expected a time such as 2027-01-31T08:00:00Z, got %s', left(moment::text, 80)),
        'Write it by ISO 8601 with an offset.'
      );
    end;
    if due > at + max_delay_ms * interval '1 millisecond' then
      perform taskiq.refuse(
        'request_invalid',
        format('options.not_before: expected at most %s seconds from now, got %s', max_delay_ms / 1000, left(moment::text, 80)),
        'Correct it, or raise TASKIQ_MAX_DELAY_MS.'
      );
    end if;
    due := greatest(due, at);
  end if;
  return due;
end
$$;

-- Labels: an object of texts, as the API takes them.
create function taskiq.check_labels(labels jsonb) returns void
  language plpgsql
as $$
declare
  label record;
  problem text;
begin
  if labels is null or labels = 'null' then
    return;
  end if;
  if jsonb_typeof(labels) <> 'object' then
    problem := format('options.labels: expected an object of texts, got %s', left(labels::text, 80));
  elsif (select count(*) from jsonb_object_keys(labels)) > 50 then
    problem := 'options.labels: expected at most 50 labels, got more';
  else
    for label in select e.key, e.value from jsonb_each(labels) as e order by e.key loop
      if char_length(label.key) > 200 then
        problem := format('options.labels: expected a name of at most 200 characters, got %s…', left(label.key, 80));
      elsif starts_with(label.key, 'taskiq_aws') then
        problem := format('options.labels.%s: expected another name, those that start with taskiq_aws are reserved', left(label.key, 80));
      elsif jsonb_typeof(label.value) <> 'string' then
        problem := format('options.labels.%s: expected a text, got %s', label.key, left(label.value::text, 80));
      elsif char_length(label.value #>> '{}') > 1000 then
        problem := format('options.labels.%s: expected at most 1000 characters, got %s', label.key, char_length(label.value #>> '{}'));
      end if;
      exit when problem is not null;
    end loop;
  end if;
  if problem is not null then
    perform taskiq.refuse('request_invalid', problem, 'Correct the label.');
  end if;
end
$$;

-- Limits: as limit_key has them, of different keys.
create function taskiq.check_limits(limits jsonb) returns void
  language plpgsql
as $$
begin
  if jsonb_typeof(limits) = 'array'
     and jsonb_array_length(limits) <= 4
     and not exists (
       select
         from jsonb_array_elements(limits) as e (value)
        where jsonb_typeof(e.value) <> 'object'
           or coalesce(jsonb_typeof(e.value -> 'key'), '') <> 'string'
           or char_length(e.value ->> 'key') not between 1 and 500
           or not (e.value @? '$.max ? (@ == null || @ >= 1 && @ <= 1000000)' or not e.value ? 'max')
           or not (e.value @? '$.interval_ms ? (@ == null || @ > 0)' or not e.value ? 'interval_ms')
     )
     and (select count(distinct e.value ->> 'key') = count(*) from jsonb_array_elements(limits) as e (value)) then
    return;
  end if;
  perform taskiq.refuse(
    'request_invalid',
    format('options.policy.limits: expected at most 4 limits of different keys, got %s', left(limits::text, 80)),
    'Write each as {"key": "…", "max": 3, "interval_ms": null}.'
  );
end
$$;

create function taskiq.enqueue(task text, input json, options json default '{}') returns uuid
  language plpgsql volatile security invoker
as $$
declare
  wanted       jsonb;
  policy       jsonb;
  unknown      text;
  limits       taskiq.submit_limits;
  definition   taskiq.task_definition;
  place        taskiq.queue_definition;
  -- Not now(), which is when the caller's transaction began.
  accepted_at  timestamptz := clock_timestamp();
  due_at       timestamptz;
  new_task     uuid;
  of_tenant    text;
  order_key    text;
  held_key     text;
  request_hash bytea;
  holder       record;
  tombstone    taskiq.tombstone;
  was_cancelled boolean;
begin
  begin
    wanted := coalesce(enqueue.options, '{}')::jsonb;
  exception when data_exception then
    perform taskiq.refuse(
      'request_invalid',
      format('options: expected values that Postgres can store, got an error: %s', sqlerrm),
      'Leave out U+0000, halves of surrogate pairs and numbers beyond numeric.'
    );
  end;
  if jsonb_typeof(wanted) <> 'object' then
    perform taskiq.refuse('request_invalid', format('options: expected an object, got %s', left(wanted::text, 80)), 'For example {"priority": 5}.');
  end if;
  policy := coalesce(nullif(wanted -> 'policy', 'null'), '{}');
  if jsonb_typeof(policy) <> 'object' then
    perform taskiq.refuse('request_invalid', format('options.policy: expected an object, got %s', left(policy::text, 80)), 'For example {"timeout_ms": 60000}.');
  end if;
  select min(name) into unknown from (
    select k.name
      from jsonb_object_keys(wanted) as k (name)
     where k.name <> all (array[
             'queue', 'priority', 'delay_seconds', 'not_before', 'ordering_key', 'labels', 'idempotency_key', 'tenant', 'id',
             'trace_context', 'policy'
           ])
    union all
    select 'policy.' || k.name
      from jsonb_object_keys(policy) as k (name)
     where k.name <> all (array[
             'queue', 'priority', 'timeout_ms', 'grace_ms', 'max_attempts', 'backoff_ms', 'max_backoff_ms', 'max_losses', 'isolation', 'on_lost',
             'limits'
           ])
  ) as names (name);
  if unknown is not null then
    perform taskiq.refuse(
      'request_invalid',
      format('options.%s: there is no such option', left(unknown, 80)),
      'Options: queue, priority, delay_seconds, not_before, ordering_key, labels, idempotency_key, tenant, id, trace_context, and policy with '
        || 'queue, priority, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost, limits.'
    );
  end if;

  select l.* into limits from taskiq.submit_limits l;
  select d.* into definition from taskiq.task_definition d where d.name = enqueue.task;
  if definition.name is null then
    if enqueue.task is null or enqueue.task !~ '^[A-Za-z0-9._:/-]{1,200}$' or not wanted ? 'policy' or wanted -> 'policy' = 'null' then
      perform taskiq.refuse(
        'unknown_task',
        format(
          'task: expected the name of a task, got %s. Known: %s',
          coalesce(to_json(left(enqueue.task, 80))::text, 'null'),
          coalesce((select string_agg(t.name, ', ' order by t.name) from (select d.name from taskiq.task_definition d order by d.name limit 20) t), 'none')
        ),
        'API and workers make their tasks known when they start. For one that none of them defines yet, give options.policy, {} at least.'
      );
    end if;
    -- The defaults of POLICY_LIMITS in runtime/model/task.ts.
    definition := row(enqueue.task, 'default', 0, 3600000, 10000, 3, 5000, 900000, 5, 'inline', 'requeue', '[]', false, now());
  end if;
  definition.queue := coalesce(taskiq.option_text(wanted, '{queue}', 200), taskiq.option_text(wanted, '{policy,queue}', 200), definition.queue);
  definition.priority := coalesce(
    taskiq.option_integer(wanted, '{priority}', -100, 100), taskiq.option_integer(wanted, '{policy,priority}', -100, 100), definition.priority
  );
  definition.timeout_ms := coalesce(taskiq.option_integer(wanted, '{policy,timeout_ms}', 1, 39600000), definition.timeout_ms);
  definition.grace_ms := coalesce(taskiq.option_integer(wanted, '{policy,grace_ms}', 0, 600000), definition.grace_ms);
  definition.max_attempts := coalesce(taskiq.option_integer(wanted, '{policy,max_attempts}', 1, 1000), definition.max_attempts);
  definition.backoff_ms := coalesce(taskiq.option_integer(wanted, '{policy,backoff_ms}', 0, 86400000), definition.backoff_ms);
  definition.max_backoff_ms := coalesce(taskiq.option_integer(wanted, '{policy,max_backoff_ms}', 0, 86400000), definition.max_backoff_ms);
  definition.max_losses := coalesce(taskiq.option_integer(wanted, '{policy,max_losses}', 0, 1000), definition.max_losses);
  definition.isolation := coalesce(taskiq.option_word(wanted, '{policy,isolation}', '{inline,process,command}'), definition.isolation);
  definition.on_lost := coalesce(taskiq.option_word(wanted, '{policy,on_lost}', '{requeue,fail}'), definition.on_lost);

  select q.* into place from taskiq.queue_definition q where q.name = definition.queue;
  if place.name is null then
    perform taskiq.refuse(
      'unknown_queue',
      format(
        'queue: expected one of %s, got %s',
        coalesce((select string_agg(q.name, ', ' order by q.name) from taskiq.queue_definition q), 'none'),
        to_json(left(definition.queue, 80))
      ),
      'API and workers make their queues known when they start (TASKIQ_QUEUES).'
    );
  end if;

  if nullif(policy -> 'limits', 'null') is not null then
    -- Whoever gives limits has made their keys.
    perform taskiq.check_limits(policy -> 'limits');
    definition.limits := policy -> 'limits';
  elsif definition.makes_keys then
    perform taskiq.refuse(
      'request_invalid',
      format('task: expected one whose limits SQL can know, got %s, whose limit keys are made from its input', enqueue.task),
      'Enqueue it from TypeScript with its definition, or give its limits in options.policy.limits.'
    );
  end if;
  if json_array_length(definition.limits) > 0 and (place.is_fifo or place.by_rank) then
    perform taskiq.refuse(
      'request_invalid',
      format('queue: expected a standard queue in the order "named", as %s has limits, got %s', enqueue.task, place.name),
      'Choose another queue.'
    );
  end if;
  if place.max is not null or place.interval_ms is not null then
    definition.limits := definition.limits::jsonb
      || jsonb_build_object('key', 'queue:' || place.name, 'max', place.max, 'interval_ms', place.interval_ms);
  end if;

  due_at := taskiq.option_due(wanted, accepted_at, limits.max_delay_ms);
  of_tenant := coalesce(taskiq.option_text(wanted, '{tenant}', 200), 'default');
  order_key := taskiq.option_text(wanted, '{ordering_key}', 200);
  held_key := taskiq.option_text(wanted, '{idempotency_key}', 255);
  perform taskiq.check_labels(wanted -> 'labels');
  if order_key is not null and not place.is_fifo then
    perform taskiq.refuse(
      'request_invalid',
      format('options.ordering_key: expected none, as the queue %s is not a FIFO queue', place.name),
      'Leave it out or choose a FIFO queue.'
    );
  end if;
  if octet_length(enqueue.input::text) > limits.inline_payload_bytes then
    perform taskiq.refuse(
      'payload_too_large',
      format('input: expected at most %s bytes, got %s', limits.inline_payload_bytes, octet_length(enqueue.input::text)),
      'Keep it in a row or an object of your own and enqueue its key: a transaction cannot store into S3. Or submit it to the API, or raise TASKIQ_INLINE_PAYLOAD_BYTES.'
    );
  end if;
  begin
    new_task := coalesce(taskiq.option_text(wanted, '{id}', 36)::uuid, taskiq.new_id(accepted_at));
  exception when invalid_text_representation then
    perform taskiq.refuse('request_invalid', format('options.id: expected a uuid, got %s', left(wanted ->> 'id', 80)), 'Leave it out to get a new one.');
  end;

  if held_key is not null then
    -- Without the trace, which every try has of its own, and the policy, which is another one after a deployment. The input by its text: what
    -- Postgres takes for equal JSON may differ for a handler.
    request_hash := sha256(convert_to(
      enqueue.task || e'\n' || (wanted - 'idempotency_key' - 'trace_context' - 'policy')::text || e'\n' || coalesce(enqueue.input::text, 'null'), 'UTF8'
    ));
    loop
      insert into taskiq.idempotency as held (namespace, key, request_hash, task_id, expires_at)
      values (of_tenant, held_key, request_hash, new_task, now() + limits.idempotency_ttl_ms * interval '1 millisecond')
      on conflict (namespace, key) do update
         set request_hash = excluded.request_hash,
             task_id = excluded.task_id,
             expires_at = excluded.expires_at
       where held.expires_at <= now();
      exit when found;
      -- In a statement of its own: the one above waited for whoever has the key, and its snapshot is older than that.
      select i.task_id, i.request_hash into holder
        from taskiq.idempotency i
       where i.namespace = of_tenant
         and i.key = held_key;
      -- Pruned in between: once more.
      continue when not found;
      if holder.request_hash <> request_hash then
        perform taskiq.refuse(
          'idempotency_mismatch',
          format('options.idempotency_key: expected the request that %s was first used with, got another one', to_json(held_key)),
          'Use a new key for a new request.'
        );
      end if;
      return holder.task_id;
    end loop;
  end if;

  -- Cancelled before it came: it is never announced, and the tombstone has done its work.
  delete from taskiq.tombstone s where s.id = new_task returning s.* into tombstone;
  was_cancelled := tombstone.id is not null;

  -- Before the row, as everywhere. A key that stands as it should is not locked; one that is new or has changed is until this transaction ends.
  insert into taskiq.limit_key as l (key, max, interval_ms)
  select x.key, x.max, x.interval_ms
    from json_to_recordset(definition.limits) as x (key text, max integer, interval_ms float8)
   order by x.key
  on conflict (key) do update
     set max = case when excluded.max is not null then greatest(excluded.max, l.running) end,
         interval_ms = excluded.interval_ms,
         used_at = now()
   where l.interval_ms is distinct from excluded.interval_ms
      or l.max is distinct from case when excluded.max is not null then greatest(excluded.max, l.running) end;

  insert into taskiq.task (
    id, name, queue, tenant, state, priority, labels, trace_context, input,
    created_at, not_before, announced_at, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    group_key, ordered_at, by_rank, limit_keys, cancel_requested_at, cancel_reason, error, finished_at
  )
  values (
    new_task, enqueue.task, place.name, of_tenant,
    case when was_cancelled then 'cancelled' else 'queued' end::taskiq.task_state,
    definition.priority,
    case when coalesce(nullif(wanted -> 'labels', 'null'), '{}') <> '{}' then enqueue.options -> 'labels' end,
    taskiq.option_text(wanted, '{trace_context}', 1000),
    case when enqueue.input::text !~ '^\s*null\s*$' then enqueue.input end,
    accepted_at, due_at, due_at,
    definition.timeout_ms, definition.grace_ms, definition.max_attempts, definition.backoff_ms, definition.max_backoff_ms,
    definition.max_losses, definition.isolation, definition.on_lost,
    case when place.is_fifo then taskiq.group_of(of_tenant || '/' || coalesce(order_key, new_task::text)) end,
    case when place.is_fifo then due_at end,
    place.by_rank,
    nullif(array(select e.value ->> 'key' from json_array_elements(definition.limits) with ordinality as e (value, n) order by e.n), '{}'),
    tombstone.created_at, tombstone.reason,
    case when was_cancelled then json_build_object('code', 'cancelled', 'type', 'Cancelled', 'message', 'Cancelled before it ran.') end,
    case when was_cancelled then accepted_at end
  )
  on conflict (id) do nothing;
  if not found then
    perform taskiq.refuse('task_exists', format('options.id: expected an id that no task has, got %s', new_task), 'Leave it out to get a new one, or use idempotency_key to make a request once.');
  end if;

  if not was_cancelled then
    insert into taskiq.outbox (kind, task_id, queue, send_at, created_at)
    values ('doorbell', new_task, place.name, due_at, accepted_at);
  end if;
  return new_task;
end
$$;

comment on function taskiq.enqueue(text, json, json) is
  'Make a task in this transaction. Needs usage on the schema taskiq and on the sequence outbox_id_seq; select on task_definition, '
  'queue_definition, submit_limits; insert and select (id) on task; insert on outbox; insert, select, update on idempotency and limit_key; '
  'select, delete on tombstone.';
