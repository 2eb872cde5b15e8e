/** Write a run with its steps: the statements of its one transaction. */

import { v5 as uuidv5 } from "uuid";
import type { OnParentFailure, Parent, RunMode, StepPlan } from "../model/graph.ts";
import type { TaskPolicy } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Doorbell } from "./announce.ts";

/** A step as its row has it. Its input is JSON text, or in the payload store. */
export type PreparedStep = {
  readonly key: string;
  readonly task: string;
  readonly queue: string;
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>> | null;
  readonly inputText: string | null;
  readonly inputRef: string | null;
  readonly plan: StepPlan | null;
  readonly onParentFailure: OnParentFailure;
  readonly parents: readonly Parent[];
  readonly policy: TaskPolicy;
  readonly group: string | null;
  readonly byRank: boolean;
  readonly limitKeys: readonly string[];
};

export type PreparedRun = {
  readonly id: string;
  readonly tenant: string;
  readonly job: string | null;
  readonly mode: RunMode;
  readonly priority: number;
  readonly inputText: string | null;
  readonly inputRef: string | null;
  readonly graphText: string;
  readonly labels: Readonly<Record<string, string>> | null;
  readonly traceContext: string | null;
  readonly parentRunId: string | null;
  readonly rootRunId: string;
  readonly deadlineMs: number | null;
  readonly steps: readonly PreparedStep[];
  /** Steps beside these, such as elements that are kept from the run before. */
  readonly moreSteps: number;
  /** Waits for the end of the run. */
  readonly onFinished: PreparedStep | null;
};

export type RunKey = { readonly key: string; readonly requestHash: Buffer; readonly ttlMs: number };

const FAST_PATH_MS = 5_000;
const STEPS_A_STATEMENT = 1_000;
const EDGES_A_STATEMENT = 10_000;
const SEPARATOR = "\u001f";

const SUBMIT_RUN = loadSql(import.meta.url, "./submit-run.sql");
const SUBMIT_STEPS = loadSql(import.meta.url, "./submit-steps.sql");
const SUBMIT_EDGES = loadSql(import.meta.url, "./submit-edges.sql");

export const stepIdOf = (runId: string, key: string): string => uuidv5(key, runId);

/** False: the key is held by another submission, or the id has a row; nothing was written. */
export async function writeRunRow(tx: Queryable, run: PreparedRun, key: RunKey | null): Promise<boolean> {
  const rows = await tx.query(SUBMIT_RUN, [
    run.id,
    run.tenant,
    run.job,
    run.mode,
    run.priority,
    run.inputText,
    run.inputRef,
    run.graphText,
    textOf(run.labels),
    run.traceContext,
    run.parentRunId,
    run.rootRunId,
    run.steps.length + run.moreSteps,
    run.deadlineMs,
    run.onFinished === null ? null : onFinishedIdOf(run.id),
    key?.key ?? null,
    key?.requestHash ?? null,
    key?.ttlMs ?? 0,
  ]);
  return rows.length > 0;
}

/** Its steps, edges and the task that waits for its end. Returns the doorbells of steps that wait for nothing, to be rung after the commit. */
export async function writeSteps(tx: Queryable, run: PreparedRun): Promise<Doorbell[]> {
  const readied: Doorbell[] = [];
  for (let first = 0; first < run.steps.length; first += STEPS_A_STATEMENT) {
    readied.push(...(await insertSteps(tx, run, run.steps.slice(first, first + STEPS_A_STATEMENT))));
  }
  await writeEdges(
    tx,
    run.id,
    run.steps.flatMap(({ key, parents }) => parents.map((parent) => ({ parent, child: key }))),
  );
  if (run.onFinished !== null) await insertSteps(tx, run, [run.onFinished], true);
  return readied;
}

export async function writeEdges(
  tx: Queryable,
  runId: string,
  edges: readonly { readonly parent: Parent; readonly child: string }[],
): Promise<void> {
  for (let first = 0; first < edges.length; first += EDGES_A_STATEMENT) {
    const some = edges.slice(first, first + EDGES_A_STATEMENT);
    await tx.query(SUBMIT_EDGES, [
      some.map(({ parent }) => stepIdOf(runId, parent.key)),
      some.map(({ child }) => stepIdOf(runId, child)),
      some.map(({ parent }) => parent.optional),
    ]);
  }
}

/** `afterwards`: the task that waits for the end of the run, which is no step of it. */
async function insertSteps(
  tx: Queryable,
  run: PreparedRun,
  steps: readonly PreparedStep[],
  afterwards = false,
): Promise<Doorbell[]> {
  const ids = steps.map(({ key }) => (afterwards ? onFinishedIdOf(run.id) : stepIdOf(run.id, key)));
  const policy = <Name extends keyof TaskPolicy>(name: Name): TaskPolicy[Name][] =>
    steps.map((step) => step.policy[name]);
  const rows = await tx.query<{ id: string; outbox_id: number }>(SUBMIT_STEPS, [
    afterwards ? null : run.id,
    run.tenant,
    textOf(run.labels),
    run.traceContext,
    ids,
    steps.map(({ key }) => (afterwards ? null : key)),
    steps.map(({ task }) => task),
    steps.map(({ queue }) => queue),
    steps.map(({ priority }) => priority),
    steps.map(({ labels }) => textOf(labels)),
    steps.map(({ inputText }) => inputText),
    steps.map(({ inputRef }) => inputRef),
    steps.map(({ plan }) => (plan === null ? null : JSON.stringify(plan))),
    steps.map(({ onParentFailure }) => (afterwards ? null : onParentFailure)),
    steps.map(({ parents }) => (afterwards ? 1 : parents.length)),
    policy("timeoutMs"),
    policy("graceMs"),
    policy("maxAttempts"),
    policy("backoffMs"),
    policy("maxBackoffMs"),
    policy("maxLosses"),
    policy("isolation"),
    policy("onLost"),
    steps.map(({ group }) => group),
    steps.map(({ byRank }) => byRank),
    steps.map(({ limitKeys }) => (limitKeys.length === 0 ? null : limitKeys.join(SEPARATOR))),
    FAST_PATH_MS,
  ]);
  const byId = new Map(steps.map((step, index) => [ids[index], step]));
  return rows.flatMap(({ id, outbox_id: outboxId }) => {
    const step = byId.get(id);
    if (step === undefined) return [];
    const { task: name, queue, group, priority } = step;
    return [{ outboxId, id, name, queue, tenant: run.tenant, group, priority }];
  });
}

const onFinishedIdOf = (runId: string): string => uuidv5("$finished", runId);

function textOf(labels: Readonly<Record<string, string>> | null): string | null {
  return labels === null || Object.keys(labels).length === 0 ? null : JSON.stringify(labels);
}
