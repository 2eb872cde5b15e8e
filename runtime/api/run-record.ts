/**
 * A run of the mode `simple` is one task, which leaves a record of its steps as its result. Here it becomes what the steps of other runs are.
 * Until it is over there is no record: the run then shows that one task.
 */
import { v5 as uuidv5 } from "uuid";
import { z } from "zod";
import { mappedKeyOf, NO_STEPS, type RunState, type StepCounts, WHOLE_RUN_KEY } from "../model/run.ts";
import { TASK_STATES } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Queryable } from "../postgres/pool.ts";
import type { RunOutline } from "./run-outline.ts";
import { readStepResults } from "./run-step-results.ts";
import type { StepView } from "./run-step-view.ts";

export type RunRecord = {
  readonly steps: readonly StepView[];
  readonly counts: StepCounts;
  readonly result: unknown;
};

/** Of one that stands in its row, which holds less. */
const MAX_RECORD_BYTES = 1_073_741_824;

const TIME = z
  .union([z.iso.datetime({ offset: true }), z.number()])
  .nullable()
  .catch(null);
const STEP_RECORD = z.object({
  state: z.enum(TASK_STATES),
  error: z.unknown().optional(),
  attempts: z.number().catch(0),
  started_at: TIME.optional(),
  finished_at: TIME.optional(),
});
const RECORD = z.object({ steps: z.record(z.string(), STEP_RECORD), result: z.unknown().optional() });

/** The task that does the whole run. */
export function wholeTaskId(runId: string): string {
  return uuidv5(WHOLE_RUN_KEY, runId);
}

/** Null: the run ended without one, as when its worker died too often. Throws what the payload store throws. */
export async function readRunRecord(
  runId: string,
  outline: RunOutline,
  { database, payloads }: { readonly database: Queryable; readonly payloads: PayloadStore },
): Promise<RunRecord | null> {
  const [row] = await readStepResults(database, [wholeTaskId(runId)], MAX_RECORD_BYTES);
  if (row === undefined) return null;
  const text = row.result_ref === null ? row.result : await payloads.get(row.result_ref);
  if (text === null) return null;
  const read = RECORD.safeParse(JSON.parse(text));
  return read.success ? recordOf(read.data, outline) : null;
}

function recordOf({ steps, result = null }: z.output<typeof RECORD>, outline: RunOutline): RunRecord {
  const elements = new Map<string, Record<string, number>>();
  const counts = { ...NO_STEPS };
  for (const [key, { state }] of Object.entries(steps)) {
    counts[state]++;
    const of = mappedKeyOf(key);
    if (of === null) continue;
    const ofStep = elements.get(of) ?? { ...NO_STEPS };
    elements.set(of, ofStep);
    ofStep[state] = (ofStep[state] ?? 0) + 1;
  }
  const views = Object.entries(steps).map(([key, step]): StepView => {
    const known = outline.byKey.get(mappedKeyOf(key) ?? key);
    return {
      key,
      taskId: null,
      task: known?.task ?? "",
      queue: null,
      state: step.state,
      attempt: step.attempts,
      failures: Math.max(0, step.attempts - (step.state === "succeeded" ? 1 : 0)),
      losses: 0,
      parents: mappedKeyOf(key) === null ? (known?.parents ?? []) : [],
      // Made of NO_STEPS above.
      elements: (elements.get(key) as StepCounts | undefined) ?? null,
      error: step.error === null || step.error === undefined ? null : JSON.stringify(step.error),
      worker: null,
      progress: null,
      progressMessage: null,
      dueAt: null,
      createdAt: null,
      startedAt: dateOf(step.started_at),
      finishedAt: dateOf(step.finished_at),
    };
  });
  return { steps: views, counts, result };
}

/** Whether the run leaves a record that can be read. */
export function hasRecord({ mode, state }: { readonly mode: string; readonly state: RunState }): boolean {
  return mode === "simple" && state !== "running";
}

function dateOf(time: string | number | null | undefined): Date | null {
  return time === null || time === undefined ? null : new Date(time);
}
