/** From the body of a request to tasks, the same way for every route that creates some. */
import { z } from "zod";
import type { Submitted, Submitter, TaskRequest } from "../flow/submit.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { requestInvalid } from "./validation.ts";

/** Access keys will tell tenants apart. */
export const TENANT = "default";

export const IDEMPOTENCY_HEADERS = z.object({
  "idempotency-key": z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, "expected 1 to 255 visible ASCII characters")
    .optional()
    .register(DOCS, {
      description:
        "Requests with the same key and the same body create their tasks once and get the same answer, for a day; " +
        "repeated answers carry `Idempotency-Replayed: true`.",
    }),
});

export type IdempotencyHeaders = z.output<typeof IDEMPOTENCY_HEADERS>;

export const SUBMISSION_PROBLEMS = problems(
  "not_json_body",
  "body_too_large",
  "payload_too_large",
  "unsupported_media_type",
  "request_invalid",
  "unknown_task",
  "unknown_queue",
  "input_invalid",
  "input_not_storable",
  "idempotency_mismatch",
  "database_unavailable",
  "payload_unavailable",
);

export const ACCEPTED = answer(
  "Accepted: the task will reach an end, whatever crashes. `Location` is where to look at it.",
  z.object({ task_id: z.uuid(), state: z.literal("queued") }),
);

/** The text of the answer to one task. The state is that of the moment it was accepted, also for a repeated request. */
export function acceptedText(taskId: string): string {
  return `{"task_id":"${taskId}","state":"queued"}`;
}

/**
 * Submits. Throws what the submitter throws, and `request_invalid` where a task's schema, which may call itself, runs out of
 * stack on input that is nested deeply. `listed`: the tasks stand in a list, and errors name them by their place.
 */
export async function submitTasks(
  submitter: Submitter,
  requests: readonly TaskRequest[],
  headers: IdempotencyHeaders,
  listed = false,
): Promise<Submitted> {
  try {
    return await submitter.submit(requests, { tenant: TENANT, idempotencyKey: headers["idempotency-key"], listed });
  } catch (error) {
    if (!(error instanceof RangeError && /call stack/.test(error.message))) throw error;
    throw requestInvalid([
      { path: "input", message: "expected less nesting than this, the task's schema cannot follow it" },
    ]);
  }
}
