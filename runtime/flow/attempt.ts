/**
 * One attempt while it runs here: what may abort it, how far it is, and since when its lease is known to be good.
 *
 *   running ──► settled                      the handler returned or threw
 *      └─ abort(reason) ──► settled          the handler obeyed its signal
 *               └─ graceMs ──► abandoned     it did not: the outcome is recorded without it, its slot counts as leaked
 */

import type { AbortReason } from "../model/task.ts";
import type { ClaimedTask } from "./claim.ts";

export type Attempt = {
  readonly task: ClaimedTask;
  /** Monotonic time of the start, in milliseconds. */
  readonly startedMs: number;
  /** Monotonic time of the last proof that the lease is ours: asked at this time, answered later. */
  leaseProvenMs: number;
  /** What the next heartbeat stores; null when it has not changed. */
  progress: number | null;
  progressMessage: string | null;
  /** Why it was aborted; null while it may run. */
  readonly abortReason: AbortReason | null;
  /** Resolves `graceMs` after the abort: from then on nobody waits for the handler. */
  readonly abandoned: Promise<void>;
  /** Whether that time has come. */
  readonly outlastedGrace: boolean;
  /**
   * Gives the handler the task's `graceMs` to end, or `longestGraceMs` where that is shorter.
   * Aborted by the first call; later ones, and those after `settle`, change nothing and return false.
   */
  abort(reason: AbortReason, longestGraceMs?: number): boolean;
  /** Made when the handler asks for it: most never do. */
  signal(): AbortSignal;
  /** Clears the timers. */
  settle(): void;
};

export function startAttempt(task: ClaimedTask, nowMs: number): Attempt {
  let controller: AbortController | undefined;
  let reason: AbortReason | null = null;
  let abandon: () => void = () => {};
  let graceTimer: NodeJS.Timeout | undefined;
  let settled = false;
  let outlasted = false;
  const abandoned = new Promise<void>((resolve) => {
    abandon = resolve;
  });
  const timeoutTimer = setTimeout(abort, task.policy.timeoutMs, "timeout");

  function abort(why: AbortReason, longestGraceMs = Number.POSITIVE_INFINITY): boolean {
    if (reason !== null || settled) return false;
    reason = why;
    clearTimeout(timeoutTimer);
    controller?.abort(why);
    graceTimer = setTimeout(leaveBehind, Math.min(task.policy.graceMs, longestGraceMs));
    return true;
  }

  function leaveBehind(): void {
    outlasted = true;
    abandon();
  }

  return {
    task,
    startedMs: nowMs,
    leaseProvenMs: nowMs,
    progress: null,
    progressMessage: null,
    get abortReason() {
      return reason;
    },
    abandoned,
    get outlastedGrace() {
      return outlasted;
    },
    abort,
    signal() {
      if (controller === undefined) {
        controller = new AbortController();
        if (reason !== null) controller.abort(reason);
      }
      return controller.signal;
    },
    settle() {
      settled = true;
      clearTimeout(timeoutTimer);
      clearTimeout(graceTimer);
    },
  };
}
