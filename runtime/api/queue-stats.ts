/** The queues as an operator wants to see them: what they were told to be, what waits and runs, who serves them, and whether they are paused. */
import { z } from "zod";
import { ackOf } from "../model/queue.ts";
import { loadSql } from "../postgres/sql.ts";
import { DOCS } from "./docs.ts";
import { asked, type Depths, depths, type HealthParts, type Part, WORKER_ALIVE_MS } from "./health.ts";
import { sharedAnswer } from "./shared-answer.ts";

function said<Schema extends z.ZodType>(schema: Schema, description: string): Schema {
  DOCS.add(schema, { description });
  return schema;
}
const messages = (description: string) =>
  said(z.int().nullable(), `${description}; approximate. Null: SQS did not answer.`);
const counted = (description: string) => said(z.int(), `${description}; counted up to 10,000.`);

export const QUEUE = z
  .object({
    name: z.string(),
    type: z.enum(["standard", "fifo"]),
    order: said(z.enum(["named", "priority"]), "Whether a message starts its own task or the best one of the queue."),
    fair: said(z.boolean(), "Whether SQS shares the workers between tenants."),
    delay_by_priority: said(z.boolean(), "Whether a priority below the default also waits in SQS."),
    ack: said(
      z.enum(["claimed", "finished"]),
      "When a message is deleted: once its task is claimed, or when it is over.",
    ),
    weight: said(z.int(), "Share of a worker's free slots against its other queues."),
    max_slots: said(z.int().nullable(), "Most slots of one worker; null: all."),
    paused: said(z.boolean(), "Whether workers claim nothing from it. Tasks may still be submitted to it."),
    paused_at: z.iso.datetime().nullable(),
    paused_by: said(z.string().nullable(), "The key that paused it."),
    queued: counted("Tasks that wait, due or not"),
    running: counted("Tasks that run"),
    oldest_age_seconds: said(
      z.number().nullable(),
      "How long the oldest waiting task has been due; null: none is due.",
    ),
    unsent: counted("Messages that are due and not yet sent"),
    workers: said(z.int(), "Workers that serve it and take new work."),
    slots: said(z.int(), "Slots of those workers, which they share with their other queues."),
    visible: messages("Messages that wait"),
    in_flight: messages("Messages that were received and not yet deleted"),
    delayed: messages("Messages that are not visible yet"),
    dead_lettered: messages("Messages in the dead-letter queue, which several queues may share"),
    error: z.string().optional(),
  })
  .register(DOCS, { id: "Queue" });

export type QueueView = z.output<typeof QUEUE>;

export type QueueStats = {
  /** One of the set by its name, or all. Throws what the database throws; what SQS does not tell within 2 s is null. */
  read(names: readonly string[]): Promise<QueueView[]>;
};

type Row = {
  queue: string;
  oldest_due_ms: number | null;
  unsent: number;
  queued: number;
  running: number;
  workers: number;
  slots: number;
  paused_at: Date | null;
  paused_by: string | null;
};

const READ_QUEUES = loadSql(import.meta.url, "./read-queues.sql");
export type QueueStatsParts = HealthParts & {
  /** How long an answer of SQS serves, which counts once a minute and bills each question. */
  readonly depthFreshMs: number;
};

export function createQueueStats({ database, queues, clock, depthFreshMs }: QueueStatsParts): QueueStats {
  const depthOf = new Map(
    queues.names.map((name) => {
      const ask = () => asked("queue_unavailable", clock, depths(queues, name));
      return [name, sharedAnswer(ask, depthFreshMs, clock)];
    }),
  );

  function view(name: string, row: Row | undefined, depth: Part<Depths> | undefined): QueueView {
    const { type, order, fair, delayByPriority, weight, maxSlots } = queues.options(name);
    const answered = depth?.kind === "answered" ? depth.value : undefined;
    return {
      name,
      type,
      order,
      fair,
      delay_by_priority: delayByPriority,
      ack: ackOf({ type, fair }),
      weight,
      max_slots: maxSlots,
      paused: row?.paused_at != null,
      paused_at: row?.paused_at?.toISOString() ?? null,
      paused_by: row?.paused_by ?? null,
      queued: row?.queued ?? 0,
      running: row?.running ?? 0,
      oldest_age_seconds: row?.oldest_due_ms == null ? null : Math.max(0, row.oldest_due_ms) / 1_000,
      unsent: row?.unsent ?? 0,
      workers: row?.workers ?? 0,
      slots: row?.slots ?? 0,
      visible: answered?.own.visible ?? null,
      in_flight: answered?.own.inFlight ?? null,
      delayed: answered?.own.delayed ?? null,
      dead_lettered: answered?.deadLettered ?? null,
      ...(depth?.kind === "failed" && { error: depth.error }),
    };
  }

  return {
    async read(names) {
      const [rows, answers] = await Promise.all([
        database.query<Row>(READ_QUEUES, [[...names], WORKER_ALIVE_MS]),
        Promise.all(names.map((name) => depthOf.get(name)?.())),
      ]);
      const rowOf = new Map(rows.map((row) => [row.queue, row]));
      return names.map((name, index) => view(name, rowOf.get(name), answers[index]));
    },
  };
}
