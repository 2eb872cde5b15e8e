/**
 * Accept runs: what prepare-run.ts makes of a request is written in one transaction, the run, its steps and their first doorbells. Once this has answered, the run ends whatever crashes.
 */

import { createHash } from "node:crypto";
import { v7 as uuidv7 } from "uuid";
import { TaskiqError } from "../errors.ts";
import { encodeJson } from "../payload/json.ts";
import { isBusyError, isValueError } from "../postgres/failure.ts";
import { isConnectionError, isSerializationError, type Transaction } from "../postgres/pool.ts";
import { traceContextOfLabels } from "../tracing/carrier.ts";
import { during, NO_TRACING, type Tracing } from "../tracing/tracing.ts";
import type { Announcer, Doorbell } from "./announce.ts";
import { createRunPreparer, type PreparerParts, type RunRequest } from "./prepare-run.ts";
import { sorted } from "./submit.ts";
import type { SubmitObserver } from "./submit-observer.ts";
import { type PreparedRun, type PreparedStep, type RunKey, writeRunRow, writeSteps } from "./write-run.ts";
import { mismatch, readIdempotency } from "./write-submissions.ts";

export type RunOptions = { readonly tenant: string; readonly idempotencyKey?: string | undefined };

/** `replayed`: the key was used before with the same request, and this is the run made then. */
export type RunAccepted = { readonly kind: "created" | "replayed"; readonly runId: string };

export type RunParts = PreparerParts & {
  readonly announcer: Announcer;
  readonly idempotencyTtlMs: number;
  /** Counts what is written. */
  readonly observer?: SubmitObserver | undefined;
  /** Makes a span of each submission. Absent: there are none. */
  readonly tracing?: Tracing;
};

/** The run that this one repeats. */
export type RunOrigin = {
  readonly parentRunId: string;
  readonly rootRunId: string;
  /** What distinguishes requests under one idempotency key beside the graph. */
  readonly choice: unknown;
  /** Writes the steps; the row of the run is there. Returns the doorbells to ring. */
  readonly write: (tx: Transaction, run: PreparedRun) => Promise<readonly Doorbell[]>;
  /** The steps that are to run, elements included: those that are kept are not among them. */
  readonly repeated: (run: PreparedRun) => readonly Pick<PreparedStep, "queue" | "task">[];
  /** Steps that are kept beside those of the graph. */
  readonly moreSteps: (run: PreparedRun) => number;
};

export type RunWriter = {
  /** @throws TaskiqError `graph_invalid`, `input_not_storable`, `payload_too_large`, `idempotency_mismatch`, `database_unavailable`, `payload_unavailable` */
  accept(request: RunRequest, options: RunOptions, origin?: RunOrigin): Promise<RunAccepted>;
  /** Resolves when every submission taken so far is answered. */
  idle(): Promise<void>;
};

export function createRunWriter(parts: RunParts): RunWriter {
  const { database, tracing = NO_TRACING } = parts;
  const prepare = createRunPreparer(parts);
  const underWay = new Set<Promise<unknown>>();

  async function accept(request: RunRequest, options: RunOptions, origin?: RunOrigin): Promise<RunAccepted> {
    const answer = write(request, options, origin);
    underWay.add(answer);
    try {
      return await answer;
    } finally {
      underWay.delete(answer);
    }
  }

  /** All steps of a run are within the span that created it: its trace is one tree. */
  async function write(request: RunRequest, options: RunOptions, origin?: RunOrigin): Promise<RunAccepted> {
    const id = uuidv7();
    const { job: of, graph, labels } = request;
    const traceContext = request.traceContext ?? traceContextOfLabels(labels);
    const span = tracing.create({ kind: "run", of, id, count: graph.steps.length, traceContext });
    return await during(span, () => writeAs(id, { ...request, traceContext: span.traceContext }, options, origin));
  }

  async function writeAs(
    id: string,
    request: RunRequest,
    options: RunOptions,
    origin?: RunOrigin,
  ): Promise<RunAccepted> {
    const prepared = await prepare(id, request, options.tenant);
    const run = origin === undefined ? prepared : repeating(prepared, origin);
    const key = options.idempotencyKey;
    const held: RunKey | null =
      key === undefined ? null : { key, requestHash: hashOf(request, origin?.choice), ttlMs: parts.idempotencyTtlMs };
    const made = async (): Promise<readonly Doorbell[] | null> =>
      await database.transaction(async (tx) => {
        if (!(await writeRunRow(tx, run, held))) return null;
        return origin === undefined ? await writeSteps(tx, run) : await origin.write(tx, run);
      });
    const readied = await repeatedly(made);
    if (readied !== null) {
      parts.announcer.ring(readied);
      const steps = origin === undefined ? run.steps : origin.repeated(run);
      for (const { queue, task } of run.onFinished === null ? steps : [...steps, run.onFinished])
        parts.observer?.enqueued(queue, task);
      return { kind: "created", runId: id };
    }
    // Only a repeated try meets its own row: the first one was committed and its answer lost.
    return held === null ? { kind: "created", runId: id } : await replay(options.tenant, held, id);
  }

  async function replay(tenant: string, { key, requestHash }: RunKey, id: string): Promise<RunAccepted> {
    const [row] = await repeatedly(() => readIdempotency(database, [tenant], [key]));
    if (row === undefined) throw unavailable(new Error("the idempotency key expired meanwhile"));
    if (row.task_id === id) return { kind: "created", runId: id };
    if (!row.request_hash.equals(requestHash)) throw mismatch(key);
    return { kind: "replayed", runId: row.task_id };
  }

  return {
    accept,
    async idle() {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
  };
}

function repeating(run: PreparedRun, { parentRunId, rootRunId, moreSteps }: RunOrigin): PreparedRun {
  return { ...run, parentRunId, rootRunId, moreSteps: moreSteps(run) };
}

/** Repeated once after a lost connection or a deadlock: ids are made before the first try, so nothing is written twice. */
async function repeatedly<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (first) {
    const lost = first instanceof TaskiqError && first.code === "commit_unknown";
    if (isValueError(first)) throw notStorable(first);
    if (!lost && !isConnectionError(first) && !isSerializationError(first)) {
      throw isBusyError(first) ? unavailable(first) : first;
    }
    try {
      return await work();
    } catch (error) {
      throw isConnectionError(error) || isBusyError(error) ? unavailable(error) : error;
    }
  }
}

function hashOf({ traceContext: _, ...request }: RunRequest, choice: unknown = null): Buffer {
  return createHash("sha256")
    .update(encodeJson([sorted(request), sorted(choice)]))
    .digest();
}

function notStorable(cause: unknown): TaskiqError {
  const message = `expected values that Postgres can store, got: ${cause instanceof Error ? cause.message : String(cause)}. Change the input.`;
  return new TaskiqError("input_not_storable", message, { cause });
}

function unavailable(cause: unknown): TaskiqError {
  return new TaskiqError(
    "database_unavailable",
    "expected the database to accept the run, it cannot be reached. Repeat the request, with the same Idempotency-Key if it has one.",
    { cause },
  );
}
