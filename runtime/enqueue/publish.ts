/**
 * What SQL cannot know of the configuration is written into tables when a process starts, for `taskiq.enqueue` to read: the tasks with their
 * policies, the queues, the limits. The process that started last is right; a task or queue that none has any more stays known, because
 * another release beside this one may have it.
 */

import type { Clock } from "../clock.ts";
import type { Registry } from "../define/registry.ts";
import type { TaskDefinition, TaskLimit } from "../define/task.ts";
import { intervalOf, settingOf } from "../flow/limit-book.ts";
import type { LimitSetting } from "../flow/limits.ts";
import type { QueueOptions } from "../model/queue.ts";
import { type Database, isConnectionError } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type Published = {
  readonly registry: Registry;
  readonly queues: readonly { readonly name: string; readonly options: QueueOptions }[];
  /** An input above this is not taken in a transaction, which cannot store it elsewhere. */
  readonly inlinePayloadBytes: number;
  readonly maxDelayMs: number;
  readonly idempotencyTtlMs: number;
};

const PUBLISH_TASKS = loadSql(import.meta.url, "./publish-tasks.sql");
const PUBLISH_QUEUES = loadSql(import.meta.url, "./publish-queues.sql");
const PUBLISH_LIMITS = loadSql(import.meta.url, "./publish-limits.sql");

const RETRY_MS = 1_000;

/** Writes what has changed: nothing, when a hundred equal workers start. Waits for a database that is away. */
export async function publish(database: Database, published: Published, clock: Clock): Promise<void> {
  for (;;) {
    try {
      return await write(database, published);
    } catch (error) {
      if (!isConnectionError(error)) throw error;
      await clock.after(RETRY_MS);
    }
  }
}

async function write(database: Database, published: Published): Promise<void> {
  const { registry, queues, inlinePayloadBytes, maxDelayMs, idempotencyTtlMs } = published;
  const tasks = [...registry.values()];
  const policy = <Name extends keyof TaskDefinition["policy"]>(name: Name) => tasks.map((task) => task.policy[name]);
  await database.query(PUBLISH_TASKS, [
    tasks.map(({ name }) => name),
    tasks.map(({ queue }) => queue),
    tasks.map(({ priority }) => priority),
    policy("timeoutMs"),
    policy("graceMs"),
    policy("maxAttempts"),
    policy("backoffMs"),
    policy("maxBackoffMs"),
    policy("maxLosses"),
    policy("isolation"),
    policy("onLost"),
    tasks.map((task) =>
      JSON.stringify(task.limits.filter(hasTextKey).map((limit) => limitRow(settingOf(task, limit, null)))),
    ),
    tasks.map((task) => !task.limits.every(hasTextKey)),
  ]);
  await database.query(PUBLISH_QUEUES, [
    queues.map(({ name }) => name),
    queues.map(({ options }) => options.type === "fifo"),
    queues.map(({ options }) => options.order === "priority"),
    queues.map(({ options }) => options.maxRunning),
    queues.map(({ options }) => intervalOf(options.perSecond)),
  ]);
  await database.query(PUBLISH_LIMITS, [inlinePayloadBytes, maxDelayMs, idempotencyTtlMs]);
}

function hasTextKey({ key }: TaskLimit): boolean {
  return typeof key === "string";
}

/** A limit as SQL reads it. */
export function limitRow({ key, max, intervalMs }: LimitSetting): object {
  return { key, max, interval_ms: intervalMs };
}
