/**
 * What a step begins with: its input with the results that it refers to, or what it comes to without its handler, because its condition does not
 * hold or because it is a list to map over. Steps that are claimed at the same time share one query.
 */

import { v5 as uuidv5 } from "uuid";
import { type ErrorCode, TaskiqError } from "../errors.ts";
import { createBatcher } from "../flow/batch.ts";
import type { ClaimedStep, ClaimedTask } from "../flow/claim.ts";
import type { Input, NewElement } from "../flow/execute.ts";
import { elementKey, type StepPlan } from "../model/graph.ts";
import { type ParentResult, startOf } from "../model/step-start.ts";
import { isTerminal, type TaskState } from "../model/task.ts";
import { type Reference, referencesOf } from "../model/template.ts";
import { encodeJson } from "../payload/json.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { isConnectionError, type Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

type Parts = {
  readonly database: Queryable;
  readonly payloads: PayloadStore;
  readonly maxPayloadBytes: number;
};

type ParentRow = {
  id: string;
  state: TaskState;
  elements: number | null;
  result: string | null;
  result_ref: string | null;
};
type ElementRow = { id: string; fits: boolean; result: string | null; result_ref: string | null };

const MAX_STEPS_A_QUERY = 100;
/** Objects of one step on their way from the payload store at the same time. */
const READ_AT_ONCE = 16;
/** Of `ctx.parent`: with results as large as a row takes, a few megabytes. */
const ELEMENTS_A_PAGE = 50;

const READ_PARENTS = loadSql(import.meta.url, "./read-parents.sql");
const READ_ELEMENTS = loadSql(import.meta.url, "./read-elements.sql");

export type StepInputs = {
  /** Never rejects because of what a graph says, only where the payload store or the database fails. */
  readonly readInput: (task: ClaimedTask) => Input | Promise<Input>;
  /** See `Context.parent`. */
  readonly readParent: (task: ClaimedTask, key: string) => AsyncIterable<unknown>;
};

export function createStepInputs(parts: Parts): StepInputs {
  const batcher = createBatcher<readonly string[], readonly ParentRow[]>({
    maxItems: MAX_STEPS_A_QUERY,
    lingerMs: 0,
    maxInFlight: 2,
    async run(wanted) {
      const rows = await parts.database.query<ParentRow>(READ_PARENTS, [[...new Set(wanted.flat())]]);
      const byId = new Map(rows.map((row) => [row.id, row]));
      return wanted.map((ids) => ids.flatMap((id) => byId.get(id) ?? []));
    },
  });

  function read({ inputText, inputRef, step }: ClaimedTask): Input | Promise<Input> {
    if (step !== null && step.plan !== null) return readOrFail(inputText, inputRef, step, step.plan);
    return inputRef === null ? { kind: "input", text: inputText } : readStored(inputRef);
  }

  async function readStored(ref: string): Promise<Input> {
    return { kind: "input", text: await parts.payloads.get(ref) };
  }

  async function readOrFail(
    text: string | null,
    ref: string | null,
    step: ClaimedStep,
    plan: StepPlan,
  ): Promise<Input> {
    try {
      return await readStep(await textOf(text, ref), step, plan);
    } catch (error) {
      if (isConnectionError(error)) return { kind: "decided", outcome: { kind: "released" } };
      if (!(error instanceof TaskiqError) || !NOT_TO_BE_CURED.has(error.code)) throw error;
      const { code, message } = error;
      return {
        kind: "decided",
        outcome: { kind: "failed", error: { code, type: "TaskiqError", message }, retry: { kind: "never" } },
      };
    }
  }

  async function readStep(text: string | null, step: ClaimedStep, plan: StepPlan): Promise<Input> {
    const input: unknown = text === null ? null : JSON.parse(text);
    // An element refers for itself, when it is claimed.
    const read = plan.map === undefined && plan.refers ? [plan.when, input] : [plan.when, plan.map];
    const parents = await parentsOf(step, read.flatMap(referencesOf));
    const start = startOf(plan, input, (key) => parents.get(key));
    switch (start.kind) {
      case "run":
        return { kind: "input", text: plan.refers ? encoded(start.input) : text };
      case "skip":
        return { kind: "decided", outcome: { kind: "skipped" } };
      case "fail":
        return { kind: "decided", outcome: { kind: "failed", error: start.error, retry: { kind: "never" } } };
      case "expand": {
        const elements = start.inputs.map((value, index): NewElement => {
          const key = elementKey(step.key, index);
          return { id: uuidv5(key, step.runId), key, inputText: encoded(value), refers: start.refer };
        });
        return { kind: "decided", outcome: { kind: "expanded", elements } };
      }
    }
  }

  async function parentsOf(
    step: ClaimedStep,
    references: readonly Reference[],
  ): Promise<ReadonlyMap<string, ParentResult>> {
    const parents = new Map<string, ParentResult>();
    const keys = [...new Set(references.map((reference) => reference.step))];
    if (keys.length === 0) return parents;
    const ids = keys.map((key) => uuidv5(key, step.runId));
    const rows = new Map((await batcher.add(ids)).map((row) => [row.id, row]));
    const budget = { bytes: parts.maxPayloadBytes };
    for (const [index, key] of keys.entries()) {
      const row = rows.get(ids[index] ?? "");
      if (row === undefined) continue;
      const result =
        row.elements !== null
          ? await listOf(step, key, row.elements, budget)
          : parsed(await textOf(row.result, row.result_ref));
      parents.set(key, { succeeded: row.state === "succeeded", result });
    }
    return parents;
  }

  /** The results of a mapped step, in the order of its list; null for an element without one. */
  async function listOf(step: ClaimedStep, key: string, count: number, budget: { bytes: number }): Promise<unknown[]> {
    const ids = Array.from({ length: count }, (_, index) => uuidv5(elementKey(key, index), step.runId));
    const places = new Map(ids.map((id, index) => [id, index]));
    const list: unknown[] = ids.map(() => null);
    const rows = await parts.database.query<ElementRow>(READ_ELEMENTS, [ids, budget.bytes]);
    for (let first = 0; first < rows.length; first += READ_AT_ONCE) {
      const some = rows.slice(first, first + READ_AT_ONCE);
      const texts = await Promise.all(some.map((row) => textOf(row.result, row.result_ref)));
      for (const [index, row] of some.entries()) {
        const text = texts[index] ?? null;
        budget.bytes -= text === null ? 0 : Buffer.byteLength(text);
        if (!row.fits || budget.bytes < 0) throw tooLarge(key, parts.maxPayloadBytes);
        list[places.get(row.id) ?? 0] = parsed(text);
      }
    }
    return list;
  }

  async function textOf(text: string | null, ref: string | null): Promise<string | null> {
    return ref === null ? text : await parts.payloads.get(ref);
  }

  function encoded(value: unknown): string | null {
    return value === null || value === undefined ? null : encodeJson(value, { maxChars: parts.maxPayloadBytes });
  }

  async function* readParent({ step, name }: ClaimedTask, key: string): AsyncIterable<unknown> {
    const refused = (message: string) =>
      new TaskiqError("reference_invalid", `ctx.parent(${JSON.stringify(key)}): ${message}.`);
    if (step === null) throw refused(`expected a step of a run, ${name} is a task by itself`);
    const [row] = await batcher.add([uuidv5(key, step.runId)]);
    if (row === undefined) throw refused("expected the key of a step of this run");
    if (!isTerminal(row.state)) throw refused(`expected a step that has ended, it is ${row.state}. Name it in after`);
    if (row.elements === null) return yield parsed(await textOf(row.result, row.result_ref));
    for (let first = 0; first < row.elements; first += ELEMENTS_A_PAGE) {
      const count = Math.min(ELEMENTS_A_PAGE, row.elements - first);
      const ids = Array.from({ length: count }, (_, index) => uuidv5(elementKey(key, first + index), step.runId));
      const rows = await parts.database.query<ElementRow>(READ_ELEMENTS, [ids, Number.MAX_SAFE_INTEGER]);
      const byId = new Map(rows.map((element) => [element.id, element]));
      for (const id of ids) {
        const element = byId.get(id);
        yield element === undefined ? null : parsed(await textOf(element.result, element.result_ref));
      }
    }
  }

  return { readInput: read, readParent };
}

const NOT_TO_BE_CURED: ReadonlySet<ErrorCode> = new Set(["payload_too_large", "collect_too_large"]);

function parsed(text: string | null): unknown {
  return text === null ? null : JSON.parse(text);
}

function tooLarge(key: string, maxBytes: number): TaskiqError {
  return new TaskiqError(
    "collect_too_large",
    `the results of the elements of ${key}: expected at most ${maxBytes} bytes together. Let the elements store their results in S3 and return keys, or read them one by one with ctx.parent("${key}").`,
  );
}
