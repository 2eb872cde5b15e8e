/** The health of a deployment as the API shows it. */
import { jsonObject } from "./problem.ts";

export type QueueHealth = {
  readonly name: string;
  /** Messages; null where SQS did not answer. */
  readonly visible: number | null;
  readonly inFlight: number | null;
  readonly delayed: number | null;
  readonly deadLettered: number | null;
  /** How long the task that waits longest has been due; null: none waits. */
  readonly oldestAgeMs: number | null;
  /** Messages that are due and not yet sent; null where the database did not answer. */
  readonly unsent: number | null;
  readonly workers: number | null;
  /** Whether an operator has stopped the claims from it. */
  readonly paused: boolean | null;
  /** Why some of it is null. */
  readonly error: string | null;
};

export type Health = {
  /** `unavailable`: neither the database nor a queue can be reached. */
  readonly status: "ok" | "degraded" | "unavailable";
  readonly queues: readonly QueueHealth[];
  readonly database: { readonly status: string; readonly error: string | null };
  readonly workersAlive: number | null;
};

/** The health in an answer; undefined when there is none. */
export function readHealth(json: string): Health | undefined {
  const body = jsonObject(json);
  const status = body?.status;
  if (status !== "ok" && status !== "degraded" && status !== "unavailable") return undefined;
  const database = recordOf(body?.database);
  return {
    status,
    queues: (Array.isArray(body?.queues) ? body.queues : []).map(recordOf).map(readQueue),
    database: { status: String(database.status ?? "unknown"), error: textOf(database.error) },
    workersAlive: numberOf(body?.workers_alive),
  };
}

function readQueue(body: Readonly<Record<string, unknown>>): QueueHealth {
  const oldestAgeSeconds = numberOf(body.oldest_age_seconds);
  return {
    name: String(body.name),
    visible: numberOf(body.visible),
    inFlight: numberOf(body.in_flight),
    delayed: numberOf(body.delayed),
    deadLettered: numberOf(body.dead_lettered),
    oldestAgeMs: oldestAgeSeconds === null ? null : oldestAgeSeconds * 1_000,
    unsent: numberOf(body.unsent),
    workers: numberOf(body.workers),
    paused: typeof body.paused === "boolean" ? body.paused : null,
    error: textOf(body.error),
  };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  // Any name may be asked for; what comes is unknown.
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
