/** Runs on a real database, moved step by step by the flow's own statements: the part of workers is played here, with their deaths and doubles. */

import { createRegistry } from "../../runtime/define/registry.ts";
import { cancelRun } from "../../runtime/flow/cancel-run.ts";
import { type ClaimedTask, type ClaimOptions, claim } from "../../runtime/flow/claim.ts";
import { completeSteps, type Offer, type StepSuccess } from "../../runtime/flow/complete-steps.ts";
import type { NewElement } from "../../runtime/flow/execute.ts";
import { expand } from "../../runtime/flow/expand.ts";
import { fail } from "../../runtime/flow/fail.ts";
import { claimLimited } from "../../runtime/flow/limits.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { release } from "../../runtime/flow/release.ts";
import { createRunWriter, type RunWriter } from "../../runtime/flow/submit-run.ts";
import type { Graph } from "../../runtime/model/graph.ts";
import type { RunState } from "../../runtime/model/run.ts";
import type { TaskState } from "../../runtime/model/task.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { createQueueSet } from "../../runtime/queue/queue-set.ts";
import { createStepInputs } from "../../runtime/worker/step-input.ts";
import { playStep, type StepInput, testStep } from "../support/graphs.ts";
import { ask } from "../support/tasks.ts";
import { NO_PAYLOADS } from "../support/unused-payloads.ts";

export const LEASE_MS = 60_000;

export type StepRow = {
  id: string;
  step_key: string;
  state: TaskState;
  attempt: number;
  failures: number;
  result: string | null;
  error: string | null;
  pending_parents: number;
};

/** How an attempt ended, not yet recorded. */
export type Ended =
  | {
      readonly kind: "success";
      readonly task: ClaimedTask;
      readonly resultText: string | null;
      readonly skipped: boolean;
    }
  | { readonly kind: "failure"; readonly task: ClaimedTask; readonly code: string; readonly repeated: boolean }
  | { readonly kind: "expansion"; readonly task: ClaimedTask; readonly elements: readonly NewElement[] };

export function createRunWorld(database: Database) {
  const registry = createRegistry([testStep()]);
  const announcer = { ring: () => {}, announceDue: async () => 0, idle: async () => {} };
  const writer: RunWriter = createRunWriter({
    database,
    payloads: NO_PAYLOADS,
    announcer,
    registry,
    // Nothing is sent: a queue is its name here.
    queues: createQueueSet([{ queue: { name: "default" } as Queue, deadLetter: null }]),
    inlinePayloadBytes: 65_536,
    maxPayloadBytes: 1_000_000,
    idempotencyTtlMs: 60_000,
  });
  const { readInput } = createStepInputs({ database, payloads: NO_PAYLOADS, maxPayloadBytes: 1_000_000 });
  const claiming = (worker: string): ClaimOptions => ({
    queue: "default",
    worker,
    leaseMs: LEASE_MS,
    knownTasks: ["test.step"],
    unknownTaskAfterMs: 60_000,
  });

  return {
    writer,
    async start(graph: Graph): Promise<string> {
      const request = { job: null, graph, mode: "orchestrated" as const, input: null };
      return (await writer.accept(request, { tenant: "default" })).runId;
    },
    async claim(ids: readonly string[], worker: string): Promise<ClaimedTask[]> {
      const verdicts = await claim(database, ids, claiming(worker));
      return [...verdicts.values()].flatMap((verdict) => (verdict.kind === "claimed" ? [verdict.task] : []));
    },
    async claimLimited(ids: readonly string[], worker: string): Promise<ClaimedTask[]> {
      return await claimLimited(database, ids, claiming(worker), () => {});
    },
    cancelAs: (runId: string, tenant: string) => cancelRun(database, runId, { tenant, reason: null }),
    offer: (worker: string, slots: number): Offer => ({
      worker,
      leaseMs: LEASE_MS,
      knownTasks: ["test.step"],
      queues: Array.from({ length: slots }, () => "default"),
    }),
    /** Runs the attempt as a worker would. */
    async play(task: ClaimedTask): Promise<Ended> {
      const input = await readInput(task);
      if (input.kind === "decided") {
        const { outcome } = input;
        if (outcome.kind === "skipped") return { kind: "success", task, resultText: null, skipped: true };
        if (outcome.kind === "expanded") return { kind: "expansion", task, elements: outcome.elements };
        if (outcome.kind === "failed") return { kind: "failure", task, code: outcome.error.code, repeated: false };
        throw new Error(`expected a decision, got ${outcome.kind}`);
      }
      // The generator gives every step an input of this shape.
      const played = playStep(JSON.parse(input.text ?? "null") as StepInput, task.failures);
      if (played.kind === "returns") {
        return { kind: "success", task, resultText: JSON.stringify(played.result), skipped: false };
      }
      const repeated = played.kind === "fails" && task.failures + 1 < task.policy.maxAttempts;
      return { kind: "failure", task, code: "handler_error", repeated };
    },
    /** Records outcomes, successes together. Returns what the worker goes on with. */
    async record(ended: readonly Ended[], offer: Offer | null): Promise<ClaimedTask[]> {
      const successes = ended.flatMap((one): StepSuccess[] =>
        one.kind === "success"
          ? [{ ...refOf(one.task), resultText: one.resultText, resultRef: null, skipped: one.skipped }]
          : [],
      );
      for (const one of ended) {
        if (one.kind === "expansion") {
          const elements = one.elements.map((element) => ({ ...element, inputRef: null }));
          const { state } = await expand(database, one.task, elements);
          if (state === "cancelled") {
            const error = { code: "cancelled", type: "Cancelled", message: "as told" };
            await fail(database, [{ ...refOf(one.task), error, retryAfterMs: null, deadLetter: false }]);
          }
        }
        if (one.kind === "failure") {
          const error = { code: one.code, type: "Error", message: "as told" };
          await fail(database, [
            { ...refOf(one.task), error, retryAfterMs: one.repeated ? 0 : null, deadLetter: true },
          ]);
        }
      }
      return successes.length === 0 ? [] : [...(await completeSteps(database, successes, offer)).continued];
    },
    giveBack: (task: ClaimedTask) => release(database, [refOf(task)]),
    /** The worker of these attempts has died. */
    async lose(tasks: readonly ClaimedTask[]): Promise<void> {
      await ask(
        database,
        "update taskiq.task set lease_until = now() - interval '1 s' where id = any($1) and state = 'running'",
        [tasks.map(({ id }) => id)],
      );
      while ((await reap(database, 100)).length > 0);
    },
    cancel: (runId: string) => cancelRun(database, runId, { tenant: null, reason: null }),
    /** An attempt that obeyed its cancel flag. */
    async abort(runId: string, id: string, attempt: number): Promise<void> {
      const error = { code: "cancelled", type: "Cancelled", message: "as told" };
      await fail(database, [{ id, attempt, runId, error, retryAfterMs: null, deadLetter: false }]);
    },
    async queued(runId: string): Promise<string[]> {
      const rows = await ask<{ id: string }>(
        database,
        "select id from taskiq.task where run_id = $1 and state = 'queued' and not_before <= now() order by step_key",
        [runId],
      );
      return rows.map(({ id }) => id);
    },
    async steps(runId: string): Promise<StepRow[]> {
      return await ask<StepRow>(
        database,
        `select id, step_key, state, attempt, failures, result, error, pending_parents
           from taskiq.task where run_id = $1 order by step_key`,
        [runId],
      );
    },
    async state(runId: string): Promise<RunState> {
      const [row] = await ask<{ state: RunState }>(database, "select state from taskiq.run where id = $1", [runId]);
      if (row === undefined) throw new Error(`expected run ${runId}`);
      return row.state;
    },
  };
}

export type RunWorld = ReturnType<typeof createRunWorld>;

function refOf(task: ClaimedTask): { id: string; attempt: number; runId: string } {
  if (task.step === null) throw new Error(`expected task ${task.id} to be a step`);
  return { id: task.id, attempt: task.attempt, runId: task.step.runId };
}
