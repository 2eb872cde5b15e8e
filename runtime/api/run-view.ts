/** A run as the API shows it, without its steps. Input and result are spliced in as text: parsing would round numbers. */
import { z } from "zod";
import { RUN_HEALTHS, RUN_STATES, type RunHealth, type RunState, type StepCounts } from "../model/run.ts";
import { TASK_STATES } from "../model/task.ts";
import { ERROR } from "./attempts.ts";
import { DOCS } from "./docs.ts";

/** A row of list-runs.sql, and of read-run.sql without what that has beside. */
export type RunSummaryRow = {
  readonly id: string;
  readonly job: string | null;
  readonly mode: "orchestrated" | "simple";
  readonly state: RunState;
  readonly priority: number;
  /** JSON text, as `error`. */
  readonly labels: string | null;
  readonly steps: number;
  readonly open_steps: number;
  readonly failed_steps: number;
  readonly cancelled_steps: number;
  readonly skipped_steps: number;
  readonly error: string | null;
  readonly cancel_requested: boolean;
  readonly cancel_reason: string | null;
  readonly deadline_at: Date | null;
  readonly on_finished: string | null;
  readonly parent_run_id: string | null;
  readonly root_run_id: string;
  readonly created_at: Date;
  readonly finished_at: Date | null;
};

export type RunRow = RunSummaryRow & { readonly input: string | null; readonly input_ref: string | null };

/** What is beside the row. Texts are JSON. */
export type RunDetail = {
  readonly counts: StepCounts;
  readonly health: RunHealth;
  readonly startedAt: Date | null;
  readonly input: string;
  readonly result: string;
  readonly resultTooLarge: boolean;
  /** Steps as texts, and where those begin that are left. */
  readonly steps: readonly string[];
  readonly stepsCursor: string | null;
};

export function runSummaryText(row: RunSummaryRow): string {
  return `{${summaryMembers(row).join(",")}}`;
}

export function runText(row: RunRow, detail: RunDetail): string {
  const members = [
    ...summaryMembers(row),
    `"health":"${detail.health}"`,
    `"counts":${JSON.stringify(detail.counts)}`,
    `"started_at":${JSON.stringify(detail.startedAt)}`,
    `"input":${detail.input}`,
    `"result":${detail.result}`,
    `"result_too_large":${detail.resultTooLarge}`,
    `"steps":[${detail.steps.join(",")}]`,
    `"steps_cursor":${JSON.stringify(detail.stepsCursor)}`,
  ];
  return `{${members.join(",")}}`;
}

function summaryMembers(row: RunSummaryRow): string[] {
  const { steps, open_steps: open, failed_steps: failed, cancelled_steps: cancelled, skipped_steps: skipped } = row;
  return [
    `"run_id":"${row.id}"`,
    `"job":${JSON.stringify(row.job)}`,
    `"mode":"${row.mode}"`,
    `"state":"${row.state}"`,
    `"priority":${row.priority}`,
    `"labels":${row.labels ?? "{}"}`,
    `"step_count":${steps}`,
    `"open_steps":${open}`,
    `"succeeded_steps":${steps - open - failed - cancelled - skipped}`,
    `"failed_steps":${failed}`,
    `"cancelled_steps":${cancelled}`,
    `"skipped_steps":${skipped}`,
    `"error":${row.error ?? "null"}`,
    `"cancel_requested":${row.cancel_requested}`,
    `"cancel_reason":${JSON.stringify(row.cancel_reason)}`,
    `"parent_run_id":${JSON.stringify(row.parent_run_id)}`,
    `"root_run_id":"${row.root_run_id}"`,
    `"on_finished_task_id":${JSON.stringify(row.on_finished)}`,
    `"created_at":${JSON.stringify(row.created_at)}`,
    `"deadline_at":${JSON.stringify(row.deadline_at)}`,
    `"finished_at":${JSON.stringify(row.finished_at)}`,
  ];
}

const at = (description: string) => z.iso.datetime().register(DOCS, { description });
const count = (description: string) => z.int().min(0).register(DOCS, { description });

/** For the OpenAPI document only: answers are written by `runSummaryText` and `runText`. */
const SUMMARY_SHAPE = {
  run_id: z.uuid(),
  job: z.string().nullable().register(DOCS, { description: "Null: a graph that was posted as it is." }),
  mode: z.enum(["orchestrated", "simple"]),
  state: z.enum(RUN_STATES),
  priority: z.int(),
  labels: z.record(z.string(), z.string()),
  step_count: count("Steps, with the elements of mapped ones. In the mode `simple` all of them are one."),
  open_steps: count("Of these: not over."),
  succeeded_steps: count("Of these: succeeded."),
  failed_steps: count("Of these: failed."),
  cancelled_steps: count("Of these: cancelled."),
  skipped_steps: count("Of these: skipped."),
  error: ERROR.nullable().register(DOCS, {
    description: "Why the run as a whole failed, such as its deadline. Errors of steps stand with these.",
  }),
  cancel_requested: z.boolean(),
  cancel_reason: z.string().nullable(),
  parent_run_id: z.uuid().nullable().register(DOCS, { description: "The run that this one repeats." }),
  root_run_id: z
    .uuid()
    .register(DOCS, { description: "The first run of that line; its own id where it repeats none." }),
  on_finished_task_id: z.uuid().nullable().register(DOCS, { description: "The task that runs when this run is over." }),
  created_at: at("When it was accepted."),
  deadline_at: at("When it fails if it is not over.").nullable(),
  finished_at: at("When it reached its end.").nullable(),
};

export const RUN_SUMMARY = z.object(SUMMARY_SHAPE).register(DOCS, {
  id: "RunSummary",
  description: "A run without its payloads and steps. Times are ISO 8601 in UTC.",
});

export const STEP_COUNTS = z
  .object(Object.fromEntries(TASK_STATES.map((state) => [state, z.int().min(0)])))
  .register(DOCS, { id: "StepCounts", description: "How many are in each state." });

/** The shape of a run with its steps, of which each is a `step`. */
export function runSchema(step: z.ZodType) {
  return z
    .object({
      ...SUMMARY_SHAPE,
      health: z.enum(RUN_HEALTHS).register(DOCS, {
        description:
          "`running`: some step runs. `waiting`: none runs, some is queued, or due later. `stalled`: nothing runs and nothing is queued though " +
          "steps are open. `finished`: it is over.",
      }),
      counts: STEP_COUNTS,
      started_at: at("When its first step started.").nullable(),
      input: z.unknown(),
      result: z.unknown().register(DOCS, { description: "Null until the run has succeeded." }),
      result_too_large: z.boolean().register(DOCS, {
        description:
          "The result is larger than 1 MiB, or made of more than 16 MiB: `result` is null, the steps' own are at their tasks.",
      }),
      steps: z.array(step).register(DOCS, { description: "In the order of the graph." }),
      steps_cursor: z
        .string()
        .nullable()
        .register(DOCS, { description: "Where `/v1/runs/{id}/steps` goes on; null: these are all." }),
    })
    .register(DOCS, { id: "Run", description: "A run. Times are ISO 8601 in UTC." });
}
