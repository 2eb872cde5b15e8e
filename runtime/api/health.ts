/** How the deployment is: its queues, its database, its workers. Every part is asked at once, and none is waited for long. */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { describeError } from "../describe-error.ts";
import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import type { Database } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Queue } from "../queue/queue.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import { DOCS } from "./docs.ts";

export type HealthParts = { readonly database: Database; readonly queues: QueueSet; readonly clock: Clock };

const READ_HEALTH = loadSql(import.meta.url, "./read-health.sql");
const PART_LIMIT_MS = 2_000;
/** Silence after which a worker is taken for dead: three of its heartbeats. */
export const WORKER_ALIVE_MS = 30_000;

const nullable = (description: string) => z.number().nullable().register(DOCS, { description });

export const HEALTH = z
  .object({
    status: z.enum(["ok", "degraded", "unavailable"]).register(DOCS, {
      description:
        "`degraded`: the database or a queue cannot be reached, or tasks are due in a queue that no worker serves. " +
        "`unavailable`: neither the database nor any queue can be reached.",
    }),
    queues: z.array(
      z.object({
        name: z.string(),
        visible: nullable("Messages that wait; approximate, as SQS counts. Null where it did not answer."),
        in_flight: nullable("Messages that were received and not yet deleted."),
        delayed: nullable("Messages that are not visible yet."),
        dead_lettered: nullable("Messages in the dead-letter queue; null where none is configured."),
        oldest_age_seconds: nullable("How long the oldest waiting task has been due; null: none waits."),
        unsent: nullable("Messages that are due and not yet sent. Null where the database did not answer."),
        workers: nullable("Workers that serve this queue."),
        paused: z
          .boolean()
          .nullable()
          .register(DOCS, { description: "Whether an operator has stopped the claims from it." }),
        error: z.string().optional(),
      }),
    ),
    database: z.object({ status: z.enum(["ok", "unavailable"]), error: z.string().optional() }),
    workers_alive: nullable("Workers that take new work."),
  })
  .register(DOCS, { id: "Health" });

export type Health = z.output<typeof HEALTH>;

type HealthRow = {
  readonly queue: string;
  readonly oldest_due_ms: number | null;
  readonly unsent: number;
  readonly workers: number;
  readonly paused: boolean;
  readonly workers_alive: number;
};

export type Part<T> =
  | { readonly kind: "answered"; readonly value: T }
  | { readonly kind: "failed"; readonly error: string };

/** Never rejects. */
export async function readHealth({ database, queues, clock }: HealthParts): Promise<Health> {
  const names = [...queues.names];
  const [rows, counts] = await Promise.all([
    asked("database_unavailable", clock, database.query<HealthRow>(READ_HEALTH, [names, WORKER_ALIVE_MS])),
    Promise.all(names.map((name) => asked("queue_unavailable", clock, depths(queues, name)))),
  ]);
  const rowOf = new Map(rows.kind === "answered" ? rows.value.map((row) => [row.queue, row]) : []);
  const parts = names.map((name, index) => queueHealth(name, counts[index], rowOf.get(name)));
  const anyQueue = counts.some(({ kind }) => kind === "answered");
  const allQueues = counts.every(({ kind }) => kind === "answered");
  const served = parts.every(({ oldest_age_seconds: age, workers }) => age === null || workers !== 0);
  const status =
    rows.kind === "failed" && !anyQueue
      ? "unavailable"
      : rows.kind === "answered" && allQueues && served
        ? "ok"
        : "degraded";
  return {
    status,
    queues: parts,
    database: rows.kind === "answered" ? { status: "ok" } : { status: "unavailable", error: rows.error },
    workers_alive: rows.kind === "answered" ? (rows.value[0]?.workers_alive ?? 0) : null,
  };
}

function queueHealth(
  name: string,
  counts: Part<Depths> | undefined,
  row: HealthRow | undefined,
): Health["queues"][number] {
  const answered = counts?.kind === "answered" ? counts.value : undefined;
  return {
    name,
    visible: answered?.own.visible ?? null,
    in_flight: answered?.own.inFlight ?? null,
    delayed: answered?.own.delayed ?? null,
    dead_lettered: answered?.deadLettered ?? null,
    oldest_age_seconds: row === undefined || row.oldest_due_ms === null ? null : Math.max(0, row.oldest_due_ms) / 1_000,
    unsent: row?.unsent ?? null,
    workers: row?.workers ?? null,
    paused: row?.paused ?? null,
    ...(counts?.kind === "failed" && { error: counts.error }),
  };
}

export type Depths = { readonly own: Awaited<ReturnType<Queue["depth"]>>; readonly deadLettered: number | null };

/** Of a queue of the set, and of its dead-letter queue. */
export async function depths(queues: QueueSet, name: string): Promise<Depths> {
  // A name of the set is configured.
  const queue = queues.get(name) as Queue;
  const deadLetter = deadLetterOf(queues, name);
  const [own, dead] = await Promise.all([queue.depth(), deadLetter?.depth()]);
  return { own, deadLettered: dead === undefined ? null : dead.visible + dead.inFlight + dead.delayed };
}

function deadLetterOf(queues: QueueSet, name: string): Queue | undefined {
  try {
    return queues.deadLetter(name);
  } catch {
    // None is configured.
    return undefined;
  }
}

/** Its answer, or in a few words why there is none: addresses are not for every caller. */
export async function asked<T>(code: ErrorCode, clock: Clock, question: Promise<T>): Promise<Part<T>> {
  const answered = new AbortController();
  const limit = clock.after(PART_LIMIT_MS, answered.signal).then((): Part<T> => {
    return { kind: "failed", error: `${ERROR_CODES[code].title}: no answer within ${PART_LIMIT_MS} ms` };
  });
  // Aborted as soon as there is an answer, when nobody listens any more.
  limit.catch(() => {});
  const answer = question.then(
    (value): Part<T> => ({ kind: "answered", value }),
    (error: unknown): Part<T> => ({ kind: "failed", error: `${ERROR_CODES[code].title}${reasonOf(error)}` }),
  );
  try {
    return await Promise.race([answer, limit]);
  } finally {
    answered.abort();
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const { code, type } = describeError(cause);
  return ` (${code ?? type})`;
}
