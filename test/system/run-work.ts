/** Graphs for running systems, and what became of their runs. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { Graph, Step } from "../../runtime/model/graph.ts";
import type { RunState } from "../../runtime/model/run.ts";
import type { TaskState } from "../../runtime/model/task.ts";
import type { System } from "../support/system.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";

export type StepInput = {
  readonly ms?: number;
  readonly refs?: readonly unknown[];
  readonly gate?: string;
  readonly needs?: string;
  readonly failures?: number;
};

/** Steps whose commit writes, which are counted. */
export const COMMITTING = "test.committing-step";
/** Steps that a worker goes on from. */
export const PLAIN = "test.plain-step";
export const ON_FINISHED = "test.on-finished";

export const ref = (key: string) => ({ $ref: key });

/** Every step after the one before. @param taskOf by its place */
export function chain(
  length: number,
  taskOf: (place: number) => Pick<Step, "task" | "queue">,
  input: StepInput,
): Graph {
  const steps = Array.from({ length }, (_, place): Step => {
    const refs = place === 0 ? [] : [ref(`s${place - 1}`)];
    return { key: `s${place}`, ...taskOf(place), input: { ...input, refs } };
  });
  return { steps };
}

const LAYERS = [1, 4, 10, 10, 4, 1] as const;
/** From its first step to its last. */
export const DIAMOND_WAYS = LAYERS.reduce<number>((ways, width) => ways * width, 1);
/** Those of a diamond, layer for layer. */
export const DIAMOND_KEYS: readonly (readonly string[])[] = LAYERS.map((width, layer) =>
  Array.from({ length: width }, (_, place) => `l${layer}-${place}`),
);
const BOTTOM = "l5-0";

/** Thirty steps, each of which refers to all in the layer above: every other one commits. @param more beside that, by key */
export function diamond(
  inputOf: (key: string) => StepInput,
  queueOf: (layer: number) => string = () => "default",
): Graph {
  const steps = DIAMOND_KEYS.flatMap((keys, layer) =>
    keys.map((key, place): Step => {
      const refs = (DIAMOND_KEYS[layer - 1] ?? []).map(ref);
      const task = (layer + place) % 2 === 0 ? COMMITTING : PLAIN;
      return { key, task, queue: queueOf(layer), input: { ...inputOf(key), refs } };
    }),
  );
  return { steps, result: ref(BOTTOM) };
}

export type Gate = { readonly path: string; readonly isOpen: boolean; open(): void };

/** Files that say to steps that they may go on. */
export function openGates(): { gate(name: string): Gate; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "taskiq-gates-"));
  return {
    gate(name) {
      const path = join(folder, name);
      return {
        path,
        get isOpen() {
          return existsSync(path);
        },
        open: () => writeFileSync(path, ""),
      };
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}

export type StepRow = {
  id: string;
  run_id: string;
  key: string;
  name: string;
  queue: string;
  state: TaskState;
  attempt: number;
  failures: number;
  losses: number;
  worker: string | null;
  /** Exact JSON text. */
  result: string | null;
  /** Rows that its commits left in `effect`. */
  effects: number;
};

/** The steps of these runs, in the order in which they were made. */
export async function readStepRows(system: System, runIds: readonly string[]): Promise<StepRow[]> {
  return await ask<StepRow>(
    system.database,
    `select t.id, t.run_id, t.step_key as key, t.name, t.queue, t.state, t.attempt, t.failures, t.losses, t.worker, t.result,
            (select count(*)::int from public.effect e where e.task_id = t.id) as effects
       from taskiq.task t
      where t.run_id = any($1::uuid[])
      order by t.run_id, t.created_at, t.step_key`,
    [runIds],
  );
}

/** Resolves when all these runs are over, with their states in the order of the ids. */
export async function untilOver(system: System, runIds: readonly string[], deadlineMs: number): Promise<RunState[]> {
  let open: unknown[] = [];
  const over = async (): Promise<boolean> => {
    open = await ask(
      system.database,
      `select r.id, r.open_steps,
              (select json_object_agg(step_key, concat_ws(' ', state, worker)) from (
                 select t.step_key, t.state, t.worker from taskiq.task t
                  where t.run_id = r.id and t.state in ('queued', 'running', 'blocked') order by t.state limit 5
               ) s) as some
         from taskiq.run r where r.id = any($1::uuid[]) and r.state = 'running' limit 5`,
      [runIds],
    );
    return open.length === 0;
  };
  await until(over, { deadlineMs, what: `the end of ${runIds.length} runs` }).catch((error: Error) => {
    throw new Error(`${error.message}; open: ${JSON.stringify(open)}`);
  });
  const rows = await ask<{ id: string; state: RunState }>(
    system.database,
    "select id, state from taskiq.run where id = any($1::uuid[])",
    [runIds],
  );
  const states = new Map(rows.map(({ id, state }) => [id, state]));
  return runIds.map((id) => {
    const state = states.get(id);
    if (state === undefined) throw new Error(`expected a run ${id}`);
    return state;
  });
}

/** Nothing of these runs, which are over, is left to be done: no step, no message, no count that is wrong. */
export async function expectNothingOpen(system: System, runIds: readonly string[]): Promise<void> {
  const wrong = await ask(
    system.database,
    `select r.id, r.state, r.steps, r.open_steps, r.failed_steps, r.cancelled_steps, r.skipped_steps, c.*
       from taskiq.run r
      cross join lateral (
        select count(*)::int as rows,
               (count(*) filter (where t.state in ('blocked', 'queued', 'running')))::int as open_rows,
               (count(*) filter (where t.state = 'failed'))::int as failed_rows,
               (count(*) filter (where t.state = 'cancelled'))::int as cancelled_rows,
               (count(*) filter (where t.state = 'skipped'))::int as skipped_rows
          from taskiq.task t where t.run_id = r.id
      ) c
      where r.id = any($1::uuid[])
        and (r.state = 'running' or r.finished_at is null
             or (r.steps, r.open_steps, r.failed_steps, r.cancelled_steps, r.skipped_steps)
                is distinct from (c.rows, c.open_rows, c.failed_rows, c.cancelled_rows, c.skipped_rows)
             or c.open_rows > 0)`,
    [runIds],
  );
  expect(wrong).toEqual([]);
  const messages = () =>
    ask(
      system.database,
      "select o.kind, t.state, t.step_key from taskiq.outbox o join taskiq.task t on t.id = o.task_id where t.run_id = any($1::uuid[])",
      [runIds],
    );
  await until(async () => (await messages()).length === 0, { deadlineMs: 20_000, what: "an empty outbox" });
}
