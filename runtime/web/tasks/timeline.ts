/** What happened to a task, as spans of time in their order: how long it waited, and each of its attempts. Pure. */
import type { Task } from "../../client/index.ts";
import type { ShownState } from "../components/state-badge.tsx";

export type Span = {
  readonly key: string;
  readonly label: string;
  readonly state: ShownState;
  readonly startMs: number;
  /** Not before the start; of what goes on, now. */
  readonly endMs: number;
  readonly isOpen: boolean;
  readonly worker: string | null;
  /** Of an attempt: its number. */
  readonly attempt: number | null;
  readonly error: Task["error"];
};

type Timed = Pick<
  Task,
  "state" | "attempt" | "attempts" | "createdAt" | "startedAt" | "finishedAt" | "worker" | "error"
>;

/** @param nowMs milliseconds since 1970 */
export function spansOf(task: Timed, nowMs: number): Span[] {
  const { state, attempt, attempts, createdAt, startedAt, finishedAt, worker } = task;
  const spans: Span[] = [];
  let endMs = createdAt.getTime();
  const wait = (untilMs: number, isOpen: boolean) => {
    const startMs = endMs;
    if (untilMs - startMs < 1 && !isOpen) return;
    const isBlocked = isOpen && state === "blocked";
    const label = isBlocked ? "waits for other steps" : isOpen ? "waits in the queue" : "waited in the queue";
    spans.push({
      key: `wait-${spans.length}`,
      label,
      state: isBlocked ? "blocked" : "queued",
      startMs,
      endMs: Math.max(startMs, untilMs),
      isOpen,
      worker: null,
      attempt: null,
      error: null,
    });
  };
  for (const one of attempts) {
    const startMs = one.startedAt?.getTime() ?? one.endedAt.getTime();
    wait(startMs, false);
    endMs = Math.max(startMs, one.endedAt.getTime());
    spans.push({
      key: `attempt-${one.attempt}`,
      label: `attempt ${one.attempt}`,
      state: one.outcome,
      startMs,
      endMs,
      isOpen: false,
      worker: one.worker,
      attempt: one.attempt,
      error: one.error,
    });
  }
  const isTold = attempts.some((one) => one.attempt === attempt);
  const lastMs = finishedAt?.getTime() ?? nowMs;
  if (attempt > 0 && !isTold && startedAt !== null && (state === "running" || finishedAt !== null)) {
    wait(startedAt.getTime(), false);
    const startMs = startedAt.getTime();
    spans.push({
      key: `attempt-${attempt}`,
      label: `attempt ${attempt}`,
      state,
      startMs,
      endMs: Math.max(startMs, lastMs),
      isOpen: state === "running",
      worker,
      attempt,
      error: task.error,
    });
  } else if (state === "queued" || state === "blocked") {
    wait(nowMs, true);
  } else if (attempts.length === 0) {
    // Ended before anybody claimed it.
    wait(lastMs, false);
  }
  return spans;
}

/** Where a span lies between the first and the last, 0..1. */
export function placeOf(span: Span, spans: readonly Span[]): { readonly left: number; readonly width: number } {
  const fromMs = Math.min(...spans.map(({ startMs }) => startMs));
  const toMs = Math.max(...spans.map(({ endMs }) => endMs));
  const wholeMs = Math.max(1, toMs - fromMs);
  return { left: (span.startMs - fromMs) / wholeMs, width: (span.endMs - span.startMs) / wholeMs };
}
