/**
 * Waits for a task or a run by one long poll after the other. An API that is away for a while, as it is when a new version rolls
 * out, does not end the wait: the task goes on without it.
 */
import type { Clock } from "../clock.ts";
import { isTerminal, type TaskState } from "../model/task.ts";
import { ApiError, mayPass } from "./api-error.ts";
import { pause } from "./pause.ts";
import type { Task } from "./task.ts";

export type WaitOptions<Awaited = Task> = {
  /** 0 looks once. Default: until it is finished, however long. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Hears of it at once, then about every second. */
  readonly onUpdate?: (awaited: Awaited) => void;
  /** Hears that the API cannot be reached at the moment. */
  readonly onAway?: (error: ApiError) => void;
};

/** Asks for it; the server may hold the answer back for `heldMs`, or until it is finished. */
export type Look<Awaited> = (id: string, heldMs: number, signal: AbortSignal | undefined) => Promise<Awaited>;

/** Below the 60 s after which load balancers cut idle connections. */
const POLL_MS = 20_000;
const UPDATE_POLL_MS = 1_000;
const MAX_AWAY_MS = 60_000;
/** What a poll takes at least, also where a draining API or a cache answers at once. */
const MIN_POLL_MS = 500;
/** The longest that timers can be set to. */
const MAX_TIMEOUT_MS = 2_147_483_647;

/**
 * The task or run (`what`), once it is finished. Throws ApiError `wait_timeout`, `task_not_found` or `run_not_found`, or what the API could not be reached
 * with for a minute (at the start: after the usual repetitions); or the reason of `signal`.
 */
export async function waitForEnd<Awaited extends { readonly state: TaskState }>(
  what: "task" | "run",
  look: Look<Awaited>,
  id: string,
  options: WaitOptions<Awaited>,
  clock: Clock,
): Promise<Awaited> {
  const { timeoutMs, signal, onUpdate, onAway } = options;
  const startedMs = clock.nowMs();
  const pollMs = onUpdate === undefined ? POLL_MS : UPDATE_POLL_MS;
  const deadline = timeoutMs === undefined || timeoutMs <= 0 ? undefined : AbortSignal.timeout(cappedMs(timeoutMs));
  const signals = [signal, deadline].filter((one) => one !== undefined);
  const ending = signals.length === 0 ? undefined : AbortSignal.any(signals);
  let last: Awaited | undefined;
  let answeredMs = startedMs;

  function timedOut(): ApiError {
    const state = last === undefined ? "it could not be looked at" : `it is ${last.state}`;
    const detail = `expected ${what} ${id} to be finished within ${timeoutMs} ms, ${state}. It goes on; wait again with its id.`;
    return new ApiError({ code: "wait_timeout", detail });
  }

  for (;;) {
    // The first look comes back at once where somebody wants to see it.
    const heldMs = timeoutMs === 0 || (last === undefined && onUpdate !== undefined) ? 0 : pollMs;
    const askedMs = clock.nowMs();
    try {
      const seen = await look(id, heldMs, ending);
      last = seen;
      answeredMs = clock.nowMs();
      onUpdate?.(seen);
      if (isTerminal(seen.state)) return seen;
      if (heldMs > 0) await pause(Math.max(0, askedMs + MIN_POLL_MS - answeredMs), ending, clock);
    } catch (error) {
      if (signal?.aborted !== true && deadline?.aborted === true) throw timedOut();
      const isAwayTooLong = last === undefined || clock.nowMs() - answeredMs > MAX_AWAY_MS;
      if (!mayPass(error) || isAwayTooLong) throw error;
      onAway?.(error);
    }
    if (timeoutMs !== undefined && clock.nowMs() - startedMs >= timeoutMs) throw timedOut();
  }
}

function cappedMs(timeoutMs: number): number {
  return Math.min(Math.ceil(timeoutMs), MAX_TIMEOUT_MS);
}
