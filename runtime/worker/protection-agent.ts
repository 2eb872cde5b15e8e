/**
 * One call of the ECS agent's task protection endpoint. The agent answers 200 with `protection` or with a `failure` of ECS, and
 * an HTTP error with `error`; a call that ECS does not answer within 4 s it gives up itself (504). It allows 40 calls a second.
 */

import { z } from "zod";
import type { Clock } from "../clock.ts";
import { describeError } from "../describe-error.ts";

export type AgentAnswer =
  | { readonly kind: "done" }
  /** The service has as many protected tasks as it is to have tasks. */
  | { readonly kind: "refused"; readonly detail: string }
  /** `code`: what ECS or the agent calls it, `unanswered` or `unreadable`. */
  | { readonly kind: "failed"; readonly code: string; readonly detail: string };

export type AgentRequest =
  | { readonly protect: true /** From 1 to 2,880. */; readonly expiresMinutes: number }
  | { readonly protect: false };

/** Longer than the agent waits for ECS, so that its own account of a failure is heard. */
const TIMEOUT_MS = 5_000;
const REFUSED = "DEPLOYMENT_BLOCKED";
const MAX_DETAIL = 500;

const ANSWER = z.union([
  z.object({ protection: z.object({ ProtectionEnabled: z.boolean() }) }),
  z.object({ failure: z.object({ Reason: z.string(), Detail: z.string().nullish() }) }),
  z.object({ error: z.object({ Code: z.string(), Message: z.string().nullish() }) }),
]);

/** Never throws, and ends within 5 s. */
export async function askAgent(
  { url, clock }: { readonly url: string; readonly clock: Clock },
  request: AgentRequest,
): Promise<AgentAnswer> {
  const overdue = new AbortController();
  const answered = new AbortController();
  void clock.after(TIMEOUT_MS, answered.signal).then(
    () => overdue.abort(new Error(`expected an answer within ${TIMEOUT_MS} ms`)),
    () => {},
  );
  try {
    const response = await fetch(`${url}/task-protection/v1/state`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        ProtectionEnabled: request.protect,
        ...(request.protect && { ExpiresInMinutes: request.expiresMinutes }),
      }),
      signal: overdue.signal,
    });
    return answerOf(response.status, await response.text(), request.protect);
  } catch (error) {
    return { kind: "failed", code: "unanswered", detail: causeOf(error) };
  } finally {
    answered.abort();
  }
}

function answerOf(status: number, text: string, protect: boolean): AgentAnswer {
  const answer = read(text);
  if (answer === null) return unreadable(status, text);
  if ("protection" in answer) {
    // What ECS says it is now, not that it answered, is what counts.
    if (status !== 200 || answer.protection.ProtectionEnabled !== protect) return unreadable(status, text);
    return { kind: "done" };
  }
  const { code, detail } =
    "failure" in answer
      ? { code: answer.failure.Reason, detail: answer.failure.Detail }
      : { code: answer.error.Code, detail: answer.error.Message };
  const shown = (detail ?? "").slice(0, MAX_DETAIL);
  return code === REFUSED ? { kind: "refused", detail: shown } : { kind: "failed", code, detail: shown };
}

function read(text: string): z.infer<typeof ANSWER> | null {
  try {
    return ANSWER.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function unreadable(status: number, text: string): AgentAnswer {
  return { kind: "failed", code: "unreadable", detail: `status ${status}: ${text.slice(0, MAX_DETAIL)}` };
}

/** `fetch` says only that it failed; its cause says why. */
function causeOf(error: unknown): string {
  const { message } = describeError(error instanceof Error && error.cause !== undefined ? error.cause : error);
  return message.slice(0, MAX_DETAIL);
}
