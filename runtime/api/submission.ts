/** From the body of a request to tasks, the same way for every route that creates some. */
import { z } from "zod";
import type { Caller } from "../access/scope.ts";
import type { Submitted, Submitter, TaskRequest } from "../flow/submit.ts";
import { requireTaskScopes } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { requestInvalid } from "./validation.ts";

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
 * Submits for the caller's tenant. Throws what the submitter throws, `scope_missing`, and `request_invalid` where a task's schema, which may call itself, runs out of
 * stack on input that is nested deeply. `listed`: the tasks stand in a list, and errors name them by their place.
 */
export async function submitTasks(
  submitter: Submitter,
  caller: Caller,
  requests: readonly TaskRequest[],
  headers: IdempotencyHeaders,
  listed = false,
): Promise<Submitted> {
  requireTaskScopes(
    caller,
    requests.map(({ task }) => task),
  );
  const { tenant } = caller;
  return await refusingDeepInput(() =>
    submitter.submit(requests, { tenant, idempotencyKey: headers["idempotency-key"], listed }),
  );
}

/** Throws `request_invalid` where a task's schema, which may call itself, runs out of stack in `work`. */
export async function refusingDeepInput<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RangeError && /call stack/.test(error.message))) throw error;
    throw requestInvalid([
      { path: "input", message: "expected less nesting than this, the task's schema cannot follow it" },
    ]);
  }
}
