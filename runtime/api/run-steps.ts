/** Pages of the steps of a run, in the order of its graph; elements of a mapped step are listed only when they are asked for. */
import { mappedKeyOf, NO_STEPS, type RunState, type StepCounts } from "../model/run.ts";
import type { TaskState } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { elementTaskId, type RunOutline } from "./run-outline.ts";
import { hasRecord, type RunRecord, readRunRecord, wholeTaskId } from "./run-record.ts";
import { type StepRow, type StepView, stepOfRow } from "./run-step-view.ts";
import { requestInvalid } from "./validation.ts";

export type RunKnown = { readonly id: string; readonly mode: "orchestrated" | "simple"; readonly state: RunState };

export type StepPageRequest = {
  /** The key of a mapped step: its elements; null: the steps of the graph. */
  readonly of: string | null;
  readonly states: readonly TaskState[] | null;
  /** How many steps stand before the page. */
  readonly position: number;
  readonly limit: number;
};

export type StepPage = {
  readonly steps: readonly StepView[];
  /** The position of the next page; null: that was all. */
  readonly next: number | null;
};

export type RunCounts = {
  readonly all: StepCounts;
  /** Of the elements of each mapped step. */
  readonly elements: ReadonlyMap<string, StepCounts>;
  readonly startedAt: Date | null;
};

export type StepParts = { readonly database: Queryable; readonly payloads: PayloadStore };

type CountRow = {
  readonly of: string | null;
  readonly state: TaskState;
  readonly count: number;
  readonly started_at: Date | null;
};

const READ_STEPS = loadSql(import.meta.url, "./read-steps.sql");
const READ_RUN_COUNTS = loadSql(import.meta.url, "./read-run-counts.sql");

export async function countSteps(database: Queryable, runId: string): Promise<RunCounts> {
  const all = { ...NO_STEPS };
  const elements = new Map<string, StepCounts>();
  let startedAt: Date | null = null;
  for (const { of, state, count, started_at } of await database.query<CountRow>(READ_RUN_COUNTS, [runId])) {
    all[state] += count;
    if (of !== null) elements.set(of, { ...(elements.get(of) ?? NO_STEPS), [state]: count });
    if (started_at !== null && (startedAt === null || started_at < startedAt)) startedAt = started_at;
  }
  return { all, elements, startedAt };
}

/** @param known what has been read already  @throws TaskiqError `request_invalid` for an `of` that is no mapped step, and what the payload store throws */
export async function listSteps(
  run: RunKnown,
  outline: RunOutline,
  request: StepPageRequest,
  { database, payloads }: StepParts,
  known: { readonly counts?: RunCounts; readonly record?: RunRecord | null } = {},
): Promise<StepPage> {
  const { of } = request;
  if (of !== null && outline.byKey.get(of)?.isMapped !== true) throw notMapped(of);
  if (run.mode === "simple") {
    const read = () => (hasRecord(run) ? readRunRecord(run.id, outline, { database, payloads }) : null);
    const record = known.record === undefined ? await read() : known.record;
    return record === null ? await wholeRun(run, request, database) : pageOfRecord(record, outline, request);
  }
  return await pageOfRows(run, outline, request, database, known.counts);
}

async function pageOfRows(
  run: RunKnown,
  outline: RunOutline,
  { of, states, position, limit }: StepPageRequest,
  database: Queryable,
  counts: RunCounts | undefined,
): Promise<StepPage> {
  const read = (ids: readonly string[], count: number) => database.query<StepRow>(READ_STEPS, [ids, states, count]);
  const total = of === null ? outline.steps.length : await elementsOf(outline.byKey.get(of)?.taskId ?? "", database);
  // Without a filter every id is on the page.
  const end = states === null ? Math.min(total, position + limit + 1) : total;
  const ids =
    of === null
      ? outline.steps.slice(position, end).map(({ taskId }) => taskId)
      : Array.from({ length: Math.max(0, end - position) }, (_, at) => elementTaskId(of, position + at, run.id));
  const rows = ids.length === 0 ? [] : await read(ids, limit + 1);
  const shown = rows.slice(0, limit);
  const isExpanded = shown.some((row) => row.elements !== null && row.elements > 0);
  const { elements } = isExpanded ? (counts ?? (await countSteps(database, run.id))) : NO_COUNTS;
  const last = shown.at(-1);
  return {
    steps: shown.map((row) => stepOfRow(row, outline.byKey.get(row.step_key)?.parents ?? [], elements)),
    next: rows.length > limit && last !== undefined ? position + last.place : null,
  };
}

/** How many a mapped step has; 0 before its list is known. */
async function elementsOf(taskId: string, database: Queryable): Promise<number> {
  const [row] = await database.query<StepRow>(READ_STEPS, [[taskId], null, 1]);
  return row?.elements ?? 0;
}

/** The one task that does the whole run, or did it and left no record. */
async function wholeRun(
  run: RunKnown,
  { of, states, position, limit }: StepPageRequest,
  database: Queryable,
): Promise<StepPage> {
  if (of !== null || position > 0 || limit === 0) return { steps: [], next: null };
  const rows = await database.query<StepRow>(READ_STEPS, [[wholeTaskId(run.id)], states, 1]);
  return { steps: rows.map((row) => stepOfRow(row, [], NO_COUNTS.elements)), next: null };
}

function pageOfRecord(
  record: RunRecord,
  outline: RunOutline,
  { of, states, position, limit }: StepPageRequest,
): StepPage {
  const byKey = new Map(record.steps.map((step) => [step.key, step]));
  const all =
    of === null
      ? outline.steps.flatMap(({ key }) => byKey.get(key) ?? [])
      : record.steps.filter(({ key }) => mappedKeyOf(key) === of);
  const rest = all
    .map((step, at) => ({ step, place: at + 1 }))
    .slice(position)
    .filter(({ step }) => states === null || states.includes(step.state));
  const shown = rest.slice(0, limit);
  const last = shown.at(-1);
  return {
    steps: shown.map(({ step }) => step),
    next: rest.length > limit && last !== undefined ? last.place : null,
  };
}

const NO_COUNTS: RunCounts = { all: NO_STEPS, elements: new Map(), startedAt: null };

function notMapped(of: string) {
  return requestInvalid([{ path: "of", message: `expected the key of a mapped step of this run, got ${of}` }]);
}
