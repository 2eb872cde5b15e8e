/**
 * What the parts that create and run tasks ask of tracing, and what they get where nobody collects spans: nothing, at no cost, while the traces of
 * others pass through. The spans are made by spans.ts.
 *
 *   POST /v1/tasks ──► create <queue> ──► process <task>     one span an attempt, in whatever process it runs
 *                         its context stands in the row
 */
import { context, isSpanContextValid, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import type { SavedResult } from "../define/middleware.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import { spanContextOf, traceContextOfSpan } from "./carrier.ts";

export type Tracing = {
  /** A request of HTTP begins. Null: it has no span of ours. */
  serve(request: ServedRequest): ServerSpan | null;
  /** A submission begins. Within the active span, else within what its `traceContext` names. */
  create(creation: Creation): CreationSpan;
  /** An attempt of a task begins. Null: it has no span. */
  process(task: TracedTask, options: { readonly wallMs: number }): AttemptSpan | null;
  /** An attempt of a step begins whose run is one task, inside that task's own attempt. */
  step(task: TracedTask): AttemptSpan | null;
};

export type ServedRequest = {
  readonly method: string;
  /** As it is written in the document, `/v1/tasks/:id`; undefined: no route matches. */
  readonly route: string | undefined;
  readonly path: string;
  readonly scheme: string;
  /** What the caller's headers say. */
  readonly traceContext: string | null;
};

export type ServerSpan = {
  readonly traceContext: string;
  /** Runs `work` with this span as the active one. */
  active<T>(work: () => T): T;
  /** @param status null: the caller was gone before there was an answer */
  end(status: number | null): void;
};

export type Creation = {
  /** What is created: the queue of tasks, null where there are several; or the name of a job, null for a graph without one. */
  readonly kind: "tasks" | "run";
  readonly of: string | null;
  /** The task's or the run's; of several tasks the first one's. */
  readonly id: string;
  /** Tasks, or steps of a run. */
  readonly count: number;
  readonly traceContext: string | null;
};

export type CreationSpan = {
  /** What the rows keep: that of this span, else that of the request. */
  readonly traceContext: string | null;
  /** @param error what was thrown; undefined: it was created */
  end(error?: unknown): void;
};

export type TracedTask = Pick<
  ClaimedTask,
  "id" | "name" | "queue" | "attempt" | "labels" | "traceContext" | "createdAt" | "waitMs"
> & { readonly step: { readonly runId: string; readonly key: string } | null };

export type AttemptSpan = {
  /** What goes on from here: to the handler, and to the tasks it creates. */
  readonly traceContext: string;
  active<T>(work: () => T): T;
  end(result: Pick<SavedResult, "error"> & { readonly recorded: SavedResult["recorded"] | "unrecorded" }): void;
};

/** Where nobody collects spans. */
export const NO_TRACING: Tracing = {
  serve: () => null,
  create: ({ traceContext }) => ({ traceContext, end() {} }),
  process: () => null,
  step: () => null,
};

export function inSpan<T>(span: { active<U>(work: () => U): U } | null, work: () => T): T {
  return span === null ? work() : span.active(work);
}

/** Runs `work` as part of a trace whose span is another process's. */
export function withinTrace<T>(traceContext: string | null, work: () => T): T {
  const parent = spanContextOf(traceContext);
  return parent === null ? work() : context.with(trace.setSpanContext(ROOT_CONTEXT, parent), work);
}

/** Ends the span with the work. */
export async function during<T>(span: CreationSpan, work: () => Promise<T>): Promise<T> {
  try {
    const answer = await work();
    span.end();
    return answer;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** Of the code that calls this, whoever made its span: what tasks go on from that it creates. Null: no span is active. */
export function activeTraceContext(): string | null {
  const found = trace.getSpanContext(context.active());
  return found !== undefined && isSpanContextValid(found) ? traceContextOfSpan(found) : null;
}
