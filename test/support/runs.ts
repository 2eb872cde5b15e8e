/**
 * Runs made directly in the state under test: the row of the run, and of each step and element that a test names. What a test leaves out is what
 * such a run has; the counts follow from the steps.
 */
import { v5 as uuidv5, v7 as uuidv7 } from "uuid";
import { elementKey, type Graph, type RunMode } from "../../runtime/model/graph.ts";
import type { RunState } from "../../runtime/model/run.ts";
import type { TaskError, TaskState } from "../../runtime/model/task.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { ask, createTasks, type TaskColumns } from "./tasks.ts";

export type RunColumns = {
  readonly id?: string;
  readonly tenant?: string;
  readonly job?: string | null;
  readonly mode?: RunMode;
  /** Default `running`. */
  readonly state?: RunState;
  readonly priority?: number;
  /** Exact JSON text, as `labels`. */
  readonly input?: string | null;
  readonly inputRef?: string | null;
  readonly labels?: string | null;
  readonly error?: TaskError | null;
  readonly parentRunId?: string | null;
  readonly rootRunId?: string;
  readonly cancelRequested?: boolean;
  readonly createdMsAgo?: number;
  readonly finishedMsAgo?: number;
};

/** A step, and of a mapped one that is expanded its elements, in order. */
export type StepColumns = Omit<TaskColumns, "elements"> & { readonly elements?: readonly TaskColumns[] };

export const stepId = (runId: string, key: string): string => uuidv5(key, runId);

/** Inserts a run of this graph and returns its id. A step that `steps` leaves out is queued, of a run that is over succeeded. */
export async function createRun(
  database: Database,
  graph: Graph,
  steps: Readonly<Record<string, StepColumns>> = {},
  columns: RunColumns = {},
): Promise<string> {
  const runId = columns.id ?? uuidv7();
  const usual: TaskState = (columns.state ?? "running") === "running" ? "queued" : "succeeded";
  const tenant = columns.tenant ?? "default";
  const keys = columns.mode === "simple" ? ["*"] : graph.steps.map(({ key }) => key);
  const taskOf = new Map(graph.steps.map(({ key, task }) => [key, task]));
  const rows = keys.flatMap((key) => {
    const { elements, ...step } = { state: usual, ...steps[key] };
    const name = taskOf.get(key) ?? "taskiq.simple_run";
    const common = { runId, tenant, name };
    return [
      {
        ...common,
        id: stepId(runId, key),
        stepKey: key,
        ...step,
        ...(elements !== undefined && { elements: elements.length }),
      },
      ...(elements ?? []).map((element, index) => {
        const elementOf = elementKey(key, index);
        return { ...common, id: stepId(runId, elementOf), stepKey: elementOf, state: usual, ...element };
      }),
    ];
  });
  const count = (...states: TaskState[]) => rows.filter(({ state }) => states.includes(state)).length;
  await ask(database, INSERT_RUN, [
    JSON.stringify({
      tenant,
      job: null,
      mode: "orchestrated",
      state: "running",
      priority: 0,
      rootRunId: runId,
      createdMsAgo: 0,
      finishedMsAgo: 0,
      cancelRequested: false,
      ...columns,
      id: runId,
      graph: JSON.stringify(graph),
      steps: rows.length,
      open: count("blocked", "queued", "running"),
      failed: count("failed"),
      cancelled: count("cancelled"),
      skipped: count("skipped"),
    }),
  ]);
  await createTasks(database, rows);
  return runId;
}

export async function clearRuns(database: Database): Promise<void> {
  await ask(database, "delete from taskiq.run; delete from taskiq.edge");
}

const INSERT_RUN = `
  insert into taskiq.run (
    id, tenant, job, mode, state, priority, input, input_ref, graph, labels, parent_run_id, root_run_id, steps, open_steps, failed_steps,
    cancelled_steps, skipped_steps, error, cancel_requested_at, created_at, finished_at
  )
  select r.id, r.tenant, r.job, r.mode, r.state, r.priority, r.input::json, r."inputRef", r.graph::json, r.labels::json, r."parentRunId",
         r."rootRunId", r.steps, r.open, r.failed, r.cancelled, r.skipped, r.error,
         case when r."cancelRequested" then now() end, now() - r."createdMsAgo" * ms,
         case when r.state <> 'running' then now() - r."finishedMsAgo" * ms end
    from (select interval '1 millisecond' as ms) unit,
         json_to_record($1::json) as r (
           id uuid, tenant text, job text, mode text, state taskiq.run_state, priority smallint, input text, "inputRef" text, graph text,
           labels text, "parentRunId" uuid, "rootRunId" uuid, steps int, open int, failed int, cancelled int, skipped int, error json,
           "cancelRequested" boolean, "createdMsAgo" float8, "finishedMsAgo" float8
         )`;
