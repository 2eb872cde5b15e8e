/**
 * Execute a run again, as a new run of the same graph and input. Steps that are not repeated are taken over with their results, as steps that have
 * ended: what follows from that readies the others, as it would have then.
 */

import { TaskiqError } from "../errors.ts";
import type { Graph, RunMode } from "../model/graph.ts";
import { elementKey } from "../model/graph.ts";
import type { RunState } from "../model/run.ts";
import type { TaskState } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Queryable, Transaction } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Doorbell } from "./announce.ts";
import { lockRuns } from "./lock-runs.ts";
import type { RunAccepted, RunWriter } from "./submit-run.ts";
import { type PreparedRun, type PreparedStep, stepIdOf, writeEdges, writeSteps } from "./write-run.ts";

export type ReexecuteOptions = {
  /** Only a run of this tenant; null: of any. */
  readonly tenant: string | null;
  /**
   * `from_failure`: what did not succeed and what never ran. `all`: everything. Or keys of steps: `load` for this one, `load*` for it and everything
   * downstream.
   */
  readonly steps: "from_failure" | "all" | readonly string[];
  readonly idempotencyKey?: string | undefined;
  /** The trace that the new run goes on with; it is no part of the old one's. */
  readonly traceContext?: string | null | undefined;
};

type OriginRow = {
  id: string;
  tenant: string;
  job: string | null;
  mode: RunMode;
  state: RunState;
  priority: number;
  input: string | null;
  input_ref: string | null;
  graph: string;
  labels: string | null;
  root_run_id: string;
};
type Was = {
  readonly key: string;
  readonly state: TaskState;
  readonly elements: number | null;
};

/** What is done with each step of the graph. */
type Choice = {
  readonly repeated: ReadonlySet<string>;
  /** Mapped steps that are not expanded anew: only their elements that did not succeed are repeated. */
  readonly partly: ReadonlySet<string>;
};

const FAST_PATH_MS = 5_000;
const ROWS_A_STATEMENT = 1_000;

const READ_ORIGIN = loadSql(import.meta.url, "./read-origin.sql");
const READ_ORIGIN_STEPS = loadSql(import.meta.url, "./read-origin-steps.sql");
const KEEP_STEPS = loadSql(import.meta.url, "./keep-steps.sql");
const REPEAT_ELEMENTS = loadSql(import.meta.url, "./repeat-elements.sql");
const AWAIT_ELEMENTS = loadSql(import.meta.url, "./await-elements.sql");
const ADVANCE = loadSql(import.meta.url, "./advance.sql");

/** @throws TaskiqError `run_not_found`, `run_not_finished`, `request_invalid`, and what accepting a run throws */
export async function reexecuteRun(
  runId: string,
  { tenant, steps, idempotencyKey, traceContext }: ReexecuteOptions,
  parts: { readonly database: Queryable; readonly payloads: PayloadStore; readonly writer: RunWriter },
): Promise<RunAccepted> {
  const { database, payloads, writer } = parts;
  const [origin] = await database.query<OriginRow>(READ_ORIGIN, [runId, tenant]);
  if (origin === undefined) throw new TaskiqError("run_not_found", `No run has the id ${runId}.`);
  if (origin.state === "running") {
    throw new TaskiqError(
      "run_not_finished",
      `Run ${runId}: expected one that is over, it is running. Cancel it, or wait for its end.`,
    );
  }
  const text = origin.input_ref === null ? origin.input : await payloads.get(origin.input_ref);
  // As `submit` wrote it.
  const graph = JSON.parse(origin.graph) as Graph;
  const request = {
    job: origin.job,
    graph,
    mode: origin.mode,
    input: text === null ? null : JSON.parse(text),
    priority: origin.priority,
    traceContext,
    ...(origin.labels !== null && { labels: JSON.parse(origin.labels) }),
  };
  const rows = await database.query<Was>(READ_ORIGIN_STEPS, [runId]);
  const was = new Map(rows.map((row) => [row.key, row]));
  // The steps of a run of mode `simple` are not rows: it starts from the beginning.
  const whole = origin.mode === "simple";
  const choose = (run: PreparedRun): Choice =>
    whole ? { repeated: new Set(run.steps.map(({ key }) => key)), partly: new Set() } : choiceOf(run, steps, was);
  return await writer.accept(
    request,
    { tenant: origin.tenant, idempotencyKey },
    {
      parentRunId: runId,
      rootRunId: origin.root_run_id,
      choice: { runId, steps },
      repeated: (run) => repeatedSteps(run, choose(run), was),
      moreSteps: (run) => takenOver(run, choose(run), was).elements,
      write: (tx, run) => write(tx, runId, run, choose(run), was),
    },
  );
}

function choiceOf(run: PreparedRun, steps: ReexecuteOptions["steps"], was: ReadonlyMap<string, Was>): Choice {
  if (steps === "all") return { repeated: new Set(run.steps.map(({ key }) => key)), partly: new Set() };
  if (steps === "from_failure") return fromFailure(run, was);
  const repeated = chosen(run, steps);
  for (const { key, parents } of run.steps) {
    if (!repeated.has(key)) continue;
    const missing = parents.find(
      (parent) => !parent.optional && !repeated.has(parent.key) && was.get(parent.key)?.state !== "succeeded",
    );
    if (missing === undefined) continue;
    const state = was.get(missing.key)?.state ?? "not there";
    throw new TaskiqError(
      "request_invalid",
      `steps: ${key} needs ${missing.key}, which did not succeed (${state}). Choose it as well, or "from_failure".`,
    );
  }
  return { repeated, partly: new Set() };
}

/** What failed, was cancelled, or never ran because of that. A step that its own condition skipped stays so where none of its parents is repeated. */
function fromFailure(run: PreparedRun, was: ReadonlyMap<string, Was>): Choice {
  const repeated = new Set<string>();
  const partly = new Set<string>();
  for (const { key, parents } of run.steps) {
    const row = was.get(key);
    if (row?.state === "succeeded") continue;
    // Why it was skipped may be another thing once its parents have run again.
    if (row?.state === "skipped" && !parents.some((parent) => repeated.has(parent.key))) continue;
    repeated.add(key);
    if ((row?.elements ?? 0) > 0 && !parents.some((parent) => repeated.has(parent.key))) partly.add(key);
  }
  if (repeated.size === 0) {
    throw new TaskiqError(
      "request_invalid",
      'steps: expected a step that did not succeed, all of them did. Use "all".',
    );
  }
  return { repeated, partly };
}

function chosen(run: PreparedRun, wanted: readonly string[]): Set<string> {
  const known = new Set(run.steps.map(({ key }) => key));
  const downstream = new Set<string>();
  const repeated = new Set<string>();
  for (const text of wanted) {
    const key = text.endsWith("*") ? text.slice(0, -1) : text;
    if (!known.has(key)) {
      throw new TaskiqError(
        "request_invalid",
        `steps: expected keys of steps, got ${JSON.stringify(text)}. Known: ${[...known].slice(0, 20).join(", ")}.`,
      );
    }
    repeated.add(key);
    if (text.endsWith("*")) downstream.add(key);
  }
  // Parents come before children.
  for (const { key, parents } of run.steps) {
    if (!parents.some((parent) => downstream.has(parent.key))) continue;
    downstream.add(key);
    repeated.add(key);
  }
  return repeated;
}

/** Keys that are kept and repeated elements, and how many elements there are beside the steps of the graph. */
function takenOver(
  run: PreparedRun,
  { repeated, partly }: Choice,
  was: ReadonlyMap<string, Was>,
): { readonly kept: string[]; readonly again: string[]; readonly elements: number } {
  const kept: string[] = [];
  const again: string[] = [];
  let elements = 0;
  for (const { key } of run.steps) {
    const row = was.get(key);
    if (!repeated.has(key)) kept.push(key);
    if (row?.elements == null || (repeated.has(key) && !partly.has(key))) continue;
    for (let index = 0; index < row.elements; index++) {
      const element = elementKey(key, index);
      const succeeded = was.get(element)?.state === "succeeded";
      elements++;
      if (succeeded || !partly.has(key)) kept.push(element);
      else again.push(element);
    }
  }
  return { kept, again, elements };
}

/** Each step that runs again, and a mapped one once more for each of its elements that does. */
function repeatedSteps(run: PreparedRun, { repeated, partly }: Choice, was: ReadonlyMap<string, Was>): PreparedStep[] {
  return run.steps.flatMap((step) => {
    const elements = partly.has(step.key) ? (was.get(step.key)?.elements ?? 0) : 0;
    const keys = Array.from({ length: elements }, (_, index) => elementKey(step.key, index));
    const again = keys.filter((key) => was.get(key)?.state !== "succeeded").map(() => step);
    return repeated.has(step.key) ? [step, ...again] : again;
  });
}

async function write(
  tx: Transaction,
  originId: string,
  run: PreparedRun,
  choice: Choice,
  was: ReadonlyMap<string, Was>,
): Promise<readonly Doorbell[]> {
  await lockRuns(tx, [run.id]);
  const { kept, again } = takenOver(run, choice, was);
  const repeated = run.steps.filter(({ key }) => choice.repeated.has(key));
  const written = await writeSteps(tx, { ...run, steps: repeated.map((step) => waiting(step, choice)) });
  const waits = new Set([...choice.partly].map((key) => stepIdOf(run.id, key)));
  const readied = written.filter(({ id }) => !waits.has(id));
  for (const [statement, keys] of [
    [KEEP_STEPS, kept],
    [REPEAT_ELEMENTS, again],
  ] as const) {
    for (let first = 0; first < keys.length; first += ROWS_A_STATEMENT) {
      const some = keys.slice(first, first + ROWS_A_STATEMENT);
      await tx.query(statement, [
        run.id,
        some.map((key) => stepIdOf(originId, key)),
        some.map((key) => stepIdOf(run.id, key)),
      ]);
    }
  }
  for (const key of choice.partly) {
    const count = was.get(key)?.elements ?? 0;
    const keys = Array.from({ length: count }, (_, index) => elementKey(key, index));
    await writeEdges(
      tx,
      run.id,
      keys.map((element) => ({ parent: { key: element, optional: false }, child: key })),
    );
    await tx.query(AWAIT_ELEMENTS, [stepIdOf(run.id, key), count]);
  }
  if (kept.length === 0) return readied;
  const ended = kept.map((key) => stepIdOf(run.id, key));
  return [...readied, ...(await tx.query<Doorbell>(ADVANCE, [ended, FAST_PATH_MS]))];
}

/** A mapped step whose elements are there already waits for them, not for its parents any more. It is not queued meanwhile. */
function waiting(step: PreparedStep, { partly }: Choice): PreparedStep {
  return partly.has(step.key) ? { ...step, parents: [] } : step;
}
