/** The words for a task's life: its states, the legal moves between them, and the policy a row carries with it. */

export const TASK_STATES = ["blocked", "queued", "running", "succeeded", "failed", "cancelled", "skipped"] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** States that nothing leaves, except `rearm` by an operator. */
export type TerminalState = "succeeded" | "failed" | "cancelled" | "skipped";

/**
 * Every legal move. The SQL in flow/ must match; a test drives every pair of states through it and compares.
 *
 * - `blocked → queued` the last parent is done · `→ running` the same, and a worker goes on with it at once · `→ skipped | cancelled` by its run · `→ succeeded | failed` the last element of a mapped step is done
 * - `queued → running` a claim · `→ cancelled` · `→ failed` no worker knows the task
 * - `running → skipped` the condition of a step does not hold · `→ blocked` a mapped step waits for its elements
 * - `running → queued` a retry, a drain or a lost lease; after a crash of the worker the reaper makes this move
 * - `failed | cancelled → queued` only `rearm`
 */
export const TRANSITIONS = {
  blocked: ["queued", "running", "succeeded", "failed", "cancelled", "skipped"],
  queued: ["running", "cancelled", "failed"],
  running: ["blocked", "queued", "succeeded", "failed", "cancelled", "skipped"],
  succeeded: [],
  failed: ["queued"],
  cancelled: ["queued"],
  skipped: [],
} as const satisfies Record<TaskState, readonly TaskState[]>;

export function isTerminal(state: TaskState): state is TerminalState {
  return state === "succeeded" || state === "failed" || state === "cancelled" || state === "skipped";
}

/** Why a handler's signal was aborted (DESIGN §8), and what follows: terminal, a failure, a requeue, or nothing at all. */
export type AbortReason = "cancelled" | "timeout" | "shutdown" | "lease_lost";

/** Snapshot of a definition kept in the row, because the reaper and the claim may not know the definition. */
export type TaskPolicy = {
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  readonly maxLosses: number;
  /** `command` is that of the `command` task alone. */
  readonly isolation: "inline" | "process" | "command";
  readonly onLost: "requeue" | "fail";
};

/** What may be said otherwise for one task than its definition says. */
export type PolicyOverrides = Partial<Omit<TaskPolicy, "isolation">>;

/** Bounds and defaults of a policy; units in the names. `timeoutMs` to 11 h keeps every queue type possible (SQS: 12 h in flight). */
export const POLICY_LIMITS = {
  timeoutMs: { min: 1, max: 39_600_000, default: 3_600_000 },
  graceMs: { min: 0, max: 600_000, default: 10_000 },
  maxAttempts: { min: 1, max: 1_000, default: 3 },
  backoffMs: { min: 0, max: 86_400_000, default: 5_000 },
  maxBackoffMs: { min: 0, max: 86_400_000, default: 900_000 },
  maxLosses: { min: 0, max: 1_000, default: 5 },
} as const;

/** Priority levels, higher starts earlier where a queue is ordered by priority; one level is worth a minute of waiting. */
export const PRIORITY_LIMITS = { min: -100, max: 100, default: 0 } as const;

/** What a failed task says about itself, in the row, the API and the CLI. */
export type TaskError = {
  readonly code: string;
  readonly type: string;
  readonly message: string;
  readonly stack?: string;
};
