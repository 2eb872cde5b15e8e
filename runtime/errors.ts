/**
 * The one list of error codes. They are public: clients, dashboards and alarms match on them, so a code is never renamed and never reused.
 * Imports nothing, because browsers load it too.
 */

/**
 * Every code with its title (one short sentence, the same for every occurrence) and the HTTP status it is answered
 * with. Codes that never start in a request have 500: if one reaches a client after all, the fault is ours.
 */
export const ERROR_CODES = {
  // A request the caller has to change.
  not_json_body: { status: 400, title: "The body is not JSON" },
  key_missing: { status: 401, title: "The request has no key" },
  key_invalid: { status: 401, title: "The key is not one of this deployment" },
  key_expired: { status: 401, title: "The key has expired" },
  key_revoked: { status: 401, title: "The key was revoked" },
  scope_missing: { status: 403, title: "The key does not allow this" },
  home_only: { status: 403, title: "This concerns other tenants than that of the key" },
  key_not_found: { status: 404, title: "No key has this id" },
  key_limit: { status: 409, title: "Two live keys have this name already" },
  task_not_found: { status: 404, title: "No task has this id" },
  queue_not_found: { status: 404, title: "No queue has this name" },
  job_not_found: { status: 404, title: "No job has this name" },
  run_not_found: { status: 404, title: "No run has this id" },
  route_not_found: { status: 404, title: "Nothing is served at this path" },
  schedule_not_found: { status: 404, title: "No schedule has this id" },
  schedule_exists: { status: 409, title: "Another schedule has this name" },
  worker_not_found: { status: 404, title: "No worker has this name" },
  count_changed: { status: 409, title: "More tasks match than were confirmed" },
  task_finished: { status: 409, title: "The state of the task does not allow this" },
  run_not_finished: { status: 409, title: "The run is not over yet" },
  run_finished: { status: 409, title: "The run is over" },
  method_not_allowed: { status: 405, title: "The path exists, but not with this method" },
  body_too_large: { status: 413, title: "The body is larger than this service accepts" },
  unsupported_media_type: { status: 415, title: "The body has to be application/json" },
  request_invalid: { status: 422, title: "The request does not have the expected shape" },
  schedule_invalid: { status: 422, title: "The times of the schedule cannot be understood" },
  unknown_task: { status: 422, title: "No task is defined under this name" },
  unknown_queue: { status: 422, title: "No queue is configured under this name" },
  graph_invalid: { status: 422, title: "The graph cannot be run" },
  unknown_job: { status: 422, title: "No job is defined under this name" },
  input_invalid: { status: 422, title: "The input does not fit the task's schema" },
  input_not_storable: { status: 422, title: "The database cannot store this input" },
  idempotency_mismatch: { status: 422, title: "The idempotency key was used with another body" },
  task_exists: { status: 409, title: "A task has this id already" },
  payload_too_large: { status: 413, title: "The payload is larger than the configured maximum" },

  // A request that may succeed when repeated.
  too_many_listeners: { status: 503, title: "Too many listeners follow tasks here" },
  draining: { status: 503, title: "This process is shutting down" },
  database_unavailable: { status: 503, title: "The database cannot be reached" },
  queue_unavailable: { status: 503, title: "The queue cannot be reached" },
  payload_unavailable: { status: 503, title: "The payload store cannot be reached" },
  scaling_unavailable: { status: 503, title: "The worker service cannot be read or changed" },
  internal: { status: 500, title: "An unexpected error happened here" },

  // Starting a process.
  config_invalid: { status: 500, title: "The configuration is not valid" },
  schema_newer: { status: 500, title: "The database schema is newer than this code" },
  schema_older: { status: 500, title: "The database schema is older than this code needs" },
  migration_changed: { status: 500, title: "A migration that was already applied has changed" },
  definition_invalid: { status: 500, title: "A task definition is not valid" },

  // Payloads and values.
  payload_missing: { status: 500, title: "The payload is not in the store" },
  payload_corrupt: { status: 500, title: "The payload does not match its checksum" },
  payload_ref_invalid: { status: 500, title: "The payload reference points outside the store" },
  not_json: { status: 500, title: "The value cannot be written as JSON" },
  result_not_storable: { status: 500, title: "The database cannot store this result" },
  reference_invalid: { status: 500, title: "A step refers to what is not there" },
  pipes_invalid: { status: 500, title: "A Pipes session or a report to it is not valid" },
  collect_too_large: { status: 500, title: "The results of a mapped step are larger than allowed" },

  // How an attempt or a task ended.
  handler_error: { status: 500, title: "The handler threw an error" },
  timeout: { status: 500, title: "The attempt ran longer than its timeout" },
  process_crashed: { status: 500, title: "The task's process ended before its handler did" },
  process_unusable: { status: 500, title: "The task modules could not be loaded in a process of their own" },
  out_of_memory: { status: 500, title: "The task's process needed more memory than allowed" },
  command_failed: { status: 500, title: "The command ended with a code other than zero, or by a signal" },
  command_not_started: { status: 500, title: "The command could not be started" },
  shutdown: { status: 500, title: "The worker was shut down during the attempt" },
  lease_lost: { status: 500, title: "Another attempt owns the task" },
  cancelled: { status: 500, title: "The task was cancelled" },
  elements_failed: { status: 500, title: "Elements of the mapped step did not succeed" },
  parent_failed: { status: 500, title: "A step that this one needs did not succeed" },
  run_deadline: { status: 500, title: "The run took longer than allowed" },
  crash_loop: { status: 500, title: "Too many workers died while they ran the task" },
  lost: { status: 500, title: "The worker died and the task does not allow another attempt" },
  commit_timeout: { status: 500, title: "The task's commit took longer than allowed" },
  commit_unknown: { status: 500, title: "The connection was lost before the commit was answered" },

  // Why a message went to the dead-letter queue.
  unreadable: { status: 500, title: "The message is not a TaskIQ message" },
  foreign_pointer: { status: 500, title: "The message points to an object outside the payload bucket" },
  not_accepted: { status: 500, title: "The queue does not accept this task from other producers" },
  foreign_not_supported: { status: 500, title: "Messages of other producers are not supported" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * An error of this product. The message says what was expected, what came and what to do.
 * `details` is for programs: it is sent to API clients as JSON, so it must hold no secrets.
 */
export class TaskiqError extends Error {
  override readonly name: string = "TaskiqError";
  readonly code: ErrorCode;
  readonly details: unknown;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
  }
}
