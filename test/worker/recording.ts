/** What the tests of the recorder share: attempts that a worker has just claimed, and their outcomes. */
import { afterEach } from "vitest";
import { z } from "zod";
import { systemClock } from "../../runtime/clock.ts";
import type { CommitClient, Context } from "../../runtime/define/context.ts";
import { defineTask, type TaskDefinition } from "../../runtime/define/task.ts";
import { type Attempt, startAttempt } from "../../runtime/flow/attempt.ts";
import { claim } from "../../runtime/flow/claim.ts";
import { failed } from "../../runtime/flow/execute.ts";
import { type Breaker, createBreaker } from "../../runtime/worker/breaker.ts";
import {
  createRecorder,
  type Recorder,
  type RecorderParts,
  type WritableOutcome,
} from "../../runtime/worker/record.ts";
import type { Recorded } from "../../runtime/worker/until-recorded.ts";
import { ask, createTasks, readTask, type TaskColumns } from "../support/tasks.ts";
import type { Rig } from "./rig.ts";

export type TestRecorder = {
  readonly breaker: Breaker;
  record(...args: Parameters<Recorder["record"]>): Promise<Recorded>;
  /** With the cause and the time of the retry. */
  enter: Recorder["record"];
};

export type Recording = {
  /** A recorder that keeps 1,000 bytes of a result in the row. */
  recorderWith(setup?: Partial<RecorderParts>): TestRecorder;
  claimed(rows: readonly TaskColumns[]): Promise<Attempt[]>;
  claimOne(columns?: TaskColumns): Promise<Attempt>;
  /** Another worker owns the task from now on. */
  takeOver(attempt: Attempt): Promise<void>;
  /** The error in the row. */
  errorOf(attempt: Attempt): Promise<{ code: string; message: string }>;
  /** The process will not wait for the database any more. */
  giveUp(): void;
};

/** What was begun in a test is over before the next. */
export function useRecording(rig: Rig): Recording {
  let gaveUp = false;
  let ends: (() => void)[] = [];
  let pending: Promise<unknown>[] = [];

  afterEach(async () => {
    gaveUp = true;
    for (const end of ends) end();
    await Promise.allSettled(pending);
    [ends, pending, gaveUp] = [[], [], false];
  });

  async function claimed(rows: readonly TaskColumns[]): Promise<Attempt[]> {
    const ids = await createTasks(rig.database, rows);
    const verdicts = await claim(rig.database, ids, {
      queue: "default",
      worker: "worker-1",
      leaseMs: 30_000,
      knownTasks: ["demo"],
      unknownTaskAfterMs: 3_600_000,
    });
    return ids.map((id) => {
      const verdict = verdicts.get(id);
      if (verdict?.kind !== "claimed") throw new Error(`expected to claim ${id}, got ${verdict?.kind}`);
      const attempt = startAttempt(verdict.task, systemClock.nowMs());
      ends.push(attempt.settle);
      return attempt;
    });
  }

  return {
    claimed,
    recorderWith(setup = {}) {
      const database = setup.database ?? rig.database;
      const breaker = createBreaker({ database, log: rig.log, clock: systemClock, probeIntervalMs: 5 });
      ends.push(breaker.stop);
      const recorder = createRecorder({
        ring: () => {},
        announce: () => {},
        offer: { worker: "w1", leaseMs: 30_000, knownTasks: ["demo"] },
        giveBackUnseen: () => {},
        database,
        commitDatabase: rig.database,
        payloads: rig.payloads,
        breaker,
        log: rig.log,
        clock: systemClock,
        lingerMs: 1,
        commitTimeoutMs: 5_000,
        inlinePayloadBytes: 1_000,
        gaveUp: () => gaveUp,
        ...setup,
      });
      const enter: Recorder["record"] = (...args) => {
        const entered = recorder.record(...args);
        entered.catch(() => {});
        pending.push(entered);
        return entered;
      };
      return {
        breaker,
        enter,
        record(...args) {
          const recorded = enter(...args).then((entered) => entered.recorded);
          recorded.catch(() => {});
          return recorded;
        },
      };
    },
    async claimOne(columns = {}) {
      const [attempt] = await claimed([columns]);
      if (attempt === undefined) throw new Error("expected an attempt");
      return attempt;
    },
    async takeOver(attempt) {
      await ask(rig.database, "update taskiq.task set attempt = attempt + 1, worker = 'other' where id = $1", [
        idOf(attempt),
      ]);
    },
    async errorOf(attempt) {
      return JSON.parse((await readTask(rig.database, idOf(attempt))).error ?? "null");
    },
    giveUp() {
      gaveUp = true;
    },
  };
}

export type Commit = (tx: CommitClient, output: unknown, context: Context) => void | Promise<void>;

export function definitionWith(commit?: Commit): TaskDefinition {
  const options = { name: "demo", input: z.unknown(), run: () => null, ...(commit && { commit }) };
  // As the registry holds it.
  return defineTask(options) as unknown as TaskDefinition;
}

/** Without a commit. */
export const PLAIN = definitionWith();
/** The recorder only hands it on to `commit(tx)`. */
export const CONTEXT = { idempotencyKey: "key" } as Context;

export function succeeded(resultText: string | null = '"done"'): WritableOutcome {
  return { kind: "succeeded", output: resultText, resultText };
}

export function failedBy(error: unknown): WritableOutcome {
  return failed(error) as WritableOutcome; // `failed` makes no `lost`.
}

export function idOf(attempt: Attempt): string {
  return attempt.task.id;
}
