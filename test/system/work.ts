/** Submitting tasks to a running system and counting what became of them. */
import { expect } from "vitest";
import type { Api, Role, System } from "../support/system.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";

export type Submission = { readonly task: string; readonly input: unknown };

/** A task `test.counted`: how long its first attempt takes, and how long later ones. */
export const counted = (firstMs: number, laterMs = 0): Submission => ({
  task: "test.counted",
  input: { firstMs, laterMs },
});

export const times = (count: number, one: Submission): Submission[] => Array.from({ length: count }, () => one);

/** Longer than any test: an attempt that ends only because somebody ends it. */
export const FOR_EVER_MS = 3_000_000;

/** POSTs all of them, at most 1,000, in one request, and returns their ids. */
export async function submit(api: Api, submissions: readonly Submission[]): Promise<string[]> {
  const response = await fetch(`${api.url}/v1/tasks/batch`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ tasks: submissions }),
  });
  const text = await response.text();
  expect(response.status, text).toBe(202);
  // As the API documents it.
  return (JSON.parse(text) as { task_ids: string[] }).task_ids;
}

export type Row = {
  id: string;
  state: string;
  attempt: number;
  failures: number;
  losses: number;
  worker: string | null;
  /** Exact JSON text. */
  result: string | null;
  error: string | null;
  started_at: Date | null;
  finished_at: Date | null;
  /** Rows that its commits left in `effect`. */
  effects: number;
};

/** The rows of these tasks, or of all, in the order of their ids. */
export async function readRows(system: System, ids: readonly string[] | null = null): Promise<Row[]> {
  return await ask<Row>(
    system.database,
    `select id, state, attempt, failures, losses, worker, result, error, started_at, finished_at,
            (select count(*)::int from public.effect e where e.task_id = t.id) as effects
       from taskiq.task t
      where $1::uuid[] is null or id = any($1::uuid[])
      order by id`,
    [ids],
  );
}

export type Census = { tasks: number; state: string; failures: number; losses: number; effects: number };

/** How many tasks are how: one line when all are the same. */
export async function census(system: System): Promise<Census[]> {
  return await ask<Census>(
    system.database,
    `select count(*)::int as tasks, t.state, t.failures, t.losses, coalesce(e.effects, 0) as effects
       from taskiq.task t
       left join (select task_id, count(*)::int as effects from public.effect group by task_id) e on e.task_id = t.id
      group by 2, 3, 4, 5
      order by 2, 3, 4, 5`,
  );
}

/** Resolves when so many tasks have succeeded. */
export async function untilSucceeded(system: System, count: number, deadlineMs: number): Promise<void> {
  let found: Census[] = [];
  const succeeded = async (): Promise<boolean> => {
    found = await census(system);
    return found.filter((line) => line.state === "succeeded").reduce((sum, line) => sum + line.tasks, 0) >= count;
  };
  await until(succeeded, { deadlineMs, what: `${count} tasks that have succeeded` }).catch((error: Error) => {
    throw new Error(`${error.message}; tasks: ${JSON.stringify(found)}`);
  });
}

/** Resolves when the worker has called the handlers of all these tasks. */
export async function untilStarted(worker: Role, ids: readonly string[]): Promise<void> {
  const started = () => new Set(worker.log("task.started").map((line) => line.taskId));
  await until(() => ids.every((id) => started().has(id)), {
    deadlineMs: 20_000,
    what: `${ids.length} attempts that run on ${worker.name}`,
  });
}

/** The time of the database, which is the clock of all its columns. */
export async function databaseNow(system: System): Promise<Date> {
  const [row] = await ask<{ now: Date }>(system.database, "select clock_timestamp() as now");
  if (row === undefined) throw new Error("expected a time");
  return row.now;
}

/** The bodies of up to ten messages of the dead-letter queue, which is looked into by receiving. */
export async function deadLetters(system: System): Promise<string[]> {
  const messages = await system.deadLetter.receive({ max: 10, waitMs: 0, visibilityMs: 1_000 });
  return messages.map((message) => message.body);
}
