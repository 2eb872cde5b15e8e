/** What a caller says about a task to be submitted: its shape, and how it reaches the submitter. */
import { z } from "zod";
import { systemClock } from "../clock.ts";
import type { TaskRequest } from "../flow/submit.ts";
import { POLICY_LIMITS, type PolicyOverrides, PRIORITY_LIMITS } from "../model/task.ts";
import { DOCS } from "./docs.ts";

export type TaskLimits = { readonly maxPayloadBytes: number; readonly maxDelayMs: number };

export type TaskBody = z.output<ReturnType<typeof taskBody>>;

const MAX_NAME_CHARS = 200;
const MAX_LABELS = 50;
const MAX_LABEL_NAME_CHARS = 200;
const MAX_LABEL_CHARS = 1_000;
const RESERVED_LABELS = "taskiq_aws";

export function taskBody(taskNames: readonly string[], { maxPayloadBytes, maxDelayMs }: TaskLimits) {
  const known = taskNames.length === 0 ? [] : [`Known here: ${taskNames.join(", ")}.`];
  const shape = {
    task: z
      .string()
      .min(1)
      .max(MAX_NAME_CHARS)
      .register(DOCS, { description: ["The name of a task.", ...known].join(" ") }),
    input: z
      .unknown()
      .optional()
      .register(DOCS, { description: `Any JSON that fits the task's schema, at most ${maxPayloadBytes} bytes.` }),
    queue: z
      .string()
      .min(1)
      .max(MAX_NAME_CHARS)
      .optional()
      .register(DOCS, { description: "A configured queue. Default: the label `taskiq/queue`, else that of the task." }),
    priority: z.int().min(PRIORITY_LIMITS.min).max(PRIORITY_LIMITS.max).optional().register(DOCS, {
      description: "Higher starts earlier. Default: the label `taskiq/priority`, else that of the task.",
    }),
    delay_seconds: z
      .number()
      .min(0)
      .max(maxDelayMs / 1_000)
      .optional()
      .register(DOCS, { description: "The earliest start, in seconds from now. Default 0." }),
    not_before: notBefore(maxDelayMs).optional(),
    ordering_key: z.string().min(1).max(MAX_NAME_CHARS).optional().register(DOCS, {
      description:
        "FIFO queues: tasks with equal keys run one after the other, in the order they were submitted. Default: the task's id.",
    }),
    labels: LABELS.optional(),
    policy: POLICY.optional(),
  };
  return z.strictObject(shape).check(({ value, issues }) => {
    if (value.delay_seconds === undefined || value.not_before === undefined) return;
    const message = "expected delay_seconds or not_before, got both";
    issues.push({ code: "custom", input: value.not_before, path: ["not_before"], message });
  });
}

function policyOf(given: z.output<typeof POLICY>): PolicyOverrides {
  const { timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, on_lost } = given;
  return {
    ...(timeout_ms !== undefined && { timeoutMs: timeout_ms }),
    ...(grace_ms !== undefined && { graceMs: grace_ms }),
    ...(max_attempts !== undefined && { maxAttempts: max_attempts }),
    ...(backoff_ms !== undefined && { backoffMs: backoff_ms }),
    ...(max_backoff_ms !== undefined && { maxBackoffMs: max_backoff_ms }),
    ...(max_losses !== undefined && { maxLosses: max_losses }),
    ...(on_lost !== undefined && { onLost: on_lost }),
  };
}

function notBefore(maxDelayMs: number) {
  return z.iso
    .datetime({ offset: true, error: "expected a time as in 2026-11-21T06:30:00Z, with Z or an offset such as +01:00" })
    .refine((text) => Date.parse(text) - systemClock.wallMs() <= maxDelayMs, {
      error: `expected a time at most ${maxDelayMs / 1_000} seconds from now`,
    })
    .register(DOCS, {
      description:
        "The earliest start as a point in time (RFC 3339), instead of `delay_seconds`; one in the past is now. As far away as `delay_seconds` may be.",
    });
}

export function taskRequestOf(body: TaskBody, traceContext: string | null = null): TaskRequest {
  const { task, input, queue, priority, ordering_key: orderingKey, labels, policy } = body;
  const { delay_seconds: delaySeconds, not_before: start } = body;
  return {
    task,
    input,
    queue,
    priority,
    ...(delaySeconds !== undefined && { delayMs: Math.round(delaySeconds * 1_000) }),
    ...(start !== undefined && { notBefore: new Date(start) }),
    orderingKey,
    labels,
    ...(traceContext !== null && { traceContext }),
    ...(policy !== undefined && { policy: policyOf(policy) }),
  };
}

const within = ({ min, max }: { readonly min: number; readonly max: number }, description: string) =>
  z.int().min(min).max(max).optional().register(DOCS, { description });

const POLICY = z
  .strictObject({
    timeout_ms: within(POLICY_LIMITS.timeoutMs, "Longest run of one attempt, in milliseconds."),
    grace_ms: within(POLICY_LIMITS.graceMs, "Time a handler has after its signal is aborted, in milliseconds."),
    max_attempts: within(POLICY_LIMITS.maxAttempts, "Attempts that may fail before the task fails."),
    backoff_ms: within(POLICY_LIMITS.backoffMs, "Upper bound of the wait after the first failure, in milliseconds."),
    max_backoff_ms: within(POLICY_LIMITS.maxBackoffMs, "Longest wait between two attempts, in milliseconds."),
    max_losses: within(
      POLICY_LIMITS.maxLosses,
      "Workers that may die while running it before it fails as `crash_loop`.",
    ),
    on_lost: z
      .enum(["requeue", "fail"])
      .optional()
      .register(DOCS, { description: "What a dead worker means: run again, or fail." }),
  })
  .register(DOCS, { description: "What is said otherwise for this task than its definition says." });

/** Not a `z.record`, which leaves out the name `__proto__` without a word. */
export const LABELS = z
  .custom<Readonly<Record<string, string>>>()
  .check(({ value, issues }) => {
    const refuse = (path: string[], message: string) => issues.push({ code: "custom", input: value, path, message });
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return void refuse([], "expected an object of texts");
    }
    const labels = Object.entries(value);
    if (labels.length > MAX_LABELS)
      return void refuse([], `expected at most ${MAX_LABELS} labels, got ${labels.length}`);
    for (const [name, text] of labels) {
      if (name.length > MAX_LABEL_NAME_CHARS)
        refuse([name], `expected a name of at most ${MAX_LABEL_NAME_CHARS} characters`);
      if (name.startsWith(RESERVED_LABELS)) refuse([name], `names that start with ${RESERVED_LABELS} are reserved`);
      if (typeof text !== "string") refuse([name], "expected a text");
      else if (text.length > MAX_LABEL_CHARS)
        refuse([name], `expected at most ${MAX_LABEL_CHARS} characters, got ${text.length}`);
    }
  })
  .register(DOCS, {
    description: `Texts that go with the task. Names that start with \`${RESERVED_LABELS}\` are reserved.`,
    type: "object",
    maxProperties: MAX_LABELS,
    propertyNames: { maxLength: MAX_LABEL_NAME_CHARS, not: { pattern: `^${RESERVED_LABELS}` } },
    additionalProperties: { type: "string", maxLength: MAX_LABEL_CHARS },
  });
