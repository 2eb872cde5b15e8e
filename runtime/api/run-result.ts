/**
 * What a run that succeeded has resulted in: its template, filled with the results of steps, or the results of its last steps by key. Made when
 * it is asked for, because most runs are never asked, and bounded, because ten thousand elements of a collected step are a gigabyte.
 */

import { fill, part, referencesOf } from "../model/template.ts";
import { encodeJson } from "../payload/json.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Queryable } from "../postgres/pool.ts";
import { elementTaskId, type OutlineStep, type RunOutline } from "./run-outline.ts";
import { readStepResults, type StepResultRow } from "./run-step-results.ts";

export type RunResult =
  /** JSON text. */
  { readonly kind: "known"; readonly text: string } | { readonly kind: "too_large" };

/** Of the answer. */
export const MAX_RESULT_BYTES = 1_048_576;
/** Of what a template picks from. */
const MAX_SOURCE_BYTES = 16 * 1_048_576;
const TOO_LARGE = { kind: "too_large" } as const;

/** Thrown and caught in this file. */
class TooMuch extends Error {}

/** Of an orchestrated run that succeeded. `input`: JSON text. Throws what the payload store throws. */
export async function resultOf(
  run: { readonly id: string; readonly input: string },
  outline: RunOutline,
  parts: { readonly database: Queryable; readonly payloads: PayloadStore },
): Promise<RunResult> {
  const needed = neededSteps(outline);
  try {
    const isPlain = outline.result === undefined;
    const texts = await readResults(run.id, needed, isPlain ? MAX_RESULT_BYTES : MAX_SOURCE_BYTES, parts);
    if (isPlain) {
      const members = needed.map(({ key }) => `${JSON.stringify(key)}:${texts.get(key) ?? "null"}`);
      return bounded(`{${members.join(",")}}`);
    }
    const values = new Map([...texts].map(([key, text]): [string, unknown] => [key, JSON.parse(text)]));
    const filled = fill(outline.result, {
      input: JSON.parse(run.input),
      // What is not there is null: a run that succeeded has a result.
      ref: ({ step, path }) => part(values.get(step), path) ?? null,
    });
    return bounded(encodeJson(filled));
  } catch (error) {
    if (error instanceof TooMuch) return TOO_LARGE;
    throw error;
  }
}

/** A value that is known already, as the result of a run. */
export function bounded(text: string): RunResult {
  return Buffer.byteLength(text) > MAX_RESULT_BYTES ? TOO_LARGE : { kind: "known", text };
}

function neededSteps({ result, ends, byKey }: RunOutline): readonly OutlineStep[] {
  if (result === undefined) return ends;
  return [...new Set(referencesOf(result).map(({ step }) => step))].flatMap((key) => byKey.get(key) ?? []);
}

/** The results as JSON texts by key; of a mapped step the list of those of its elements. One without success has none. */
async function readResults(
  runId: string,
  steps: readonly OutlineStep[],
  maxBytes: number,
  parts: { readonly database: Queryable; readonly payloads: PayloadStore },
): Promise<Map<string, string>> {
  const { read, texts } = reading(maxBytes, parts);
  const rows = new Map((await read(steps.map(({ taskId }) => taskId))).map((row) => [row.id, row]));
  const results = new Map<string, string>();
  for (const { key, taskId } of steps) {
    const row = rows.get(taskId);
    if (row === undefined || row.state !== "succeeded") continue;
    const { elements } = row;
    if (elements === null) {
      results.set(key, (await texts([row]))[0] ?? "null");
      continue;
    }
    const ids = Array.from({ length: elements }, (_, index) => elementTaskId(key, index, runId));
    const found = ids.length === 0 ? [] : await read(ids);
    const byId = new Map(found.map((one, at) => [one.id, at]));
    const ofFound = await texts(found);
    results.set(key, `[${ids.map((id) => ofFound[byId.get(id) ?? -1] ?? "null").join(",")}]`);
  }
  return results;
}

/** Reads as long as all together is not too much. */
function reading(
  maxBytes: number,
  { database, payloads }: { readonly database: Queryable; readonly payloads: PayloadStore },
) {
  let left = maxBytes;
  const take = (text: string): string => {
    left -= Buffer.byteLength(text);
    if (left < 0) throw new TooMuch();
    return text;
  };
  return {
    async read(ids: readonly string[]): Promise<StepResultRow[]> {
      const rows = await readStepResults(database, ids, left);
      if (rows.some((row) => row.too_much)) throw new TooMuch();
      return rows;
    },
    /** One after the other: what is too much is not fetched sixteen times over. */
    async texts(rows: readonly StepResultRow[]): Promise<string[]> {
      const texts: string[] = [];
      for (const { result, result_ref: ref } of rows) {
        texts.push(take(ref === null ? (result ?? "null") : await payloads.get(ref)));
      }
      return texts;
    },
  };
}
