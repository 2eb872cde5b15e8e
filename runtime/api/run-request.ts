/** What a caller says about a run to be started: its shape, and how it reaches the submitter. */
import { z } from "zod";
import { GRAPH_SCHEMA } from "../define/graph-schema.ts";
import type { JobRegistry } from "../define/job.ts";
import { TaskiqError } from "../errors.ts";
import { requestOfJob } from "../flow/job-run.ts";
import type { RunRequest } from "../flow/prepare-run.ts";
import { boundText, type Issue, inWords, issuesOf } from "../issues.ts";
import type { Graph } from "../model/graph.ts";
import { PRIORITY_LIMITS } from "../model/task.ts";
import { DOCS } from "./docs.ts";
import { LABELS } from "./task-request.ts";

export type RunBody = z.output<typeof RUN_BODY>;

const MAX_NAME_CHARS = 200;
const MODES = ["orchestrated", "simple"] as const;

/** The JSON schema that `/v1/graph-schema.json` publishes. */
export const GRAPH_JSON_SCHEMA = z.toJSONSchema(GRAPH_SCHEMA, { io: "input", unrepresentable: "any" });

export const RUN_BODY = z
  .strictObject({
    job: z
      .string()
      .min(1)
      .max(MAX_NAME_CHARS)
      .optional()
      .register(DOCS, { description: "The name of a job; this or `graph`." }),
    graph: z.unknown().optional().register(DOCS, {
      // Not the schema itself: a property called $ref, as a condition has it, breaks what makes the document.
      type: "object",
      description: "A graph of steps, as `/v1/graph-schema.json` describes it; this or `job`.",
    }),
    input: z.unknown().optional().register(DOCS, { description: "What `$input` refers to; fits the job's schema." }),
    mode: z
      .enum(MODES)
      .optional()
      .register(DOCS, {
        description:
          "`orchestrated`: each step is a task. `simple`: one task does all of them in one worker, and begins again after a crash. Default: that of " +
          "the job, else `orchestrated`.",
      }),
    priority: z.int().min(PRIORITY_LIMITS.min).max(PRIORITY_LIMITS.max).optional().register(DOCS, {
      description: "Added to that of each step. Default: the label `taskiq/run_priority`, that of the job, or 0.",
    }),
    labels: LABELS.optional(),
  })
  .check(({ value, issues }) => {
    if ((value.job === undefined) !== (value.graph === undefined)) return;
    const message = `expected job or graph, got ${value.job === undefined ? "neither" : "both"}`;
    issues.push({ code: "custom", input: value, path: [value.job === undefined ? "job" : "graph"], message });
  });

/**
 * What the body asks for.
 * Throws TaskiqError `graph_invalid`, `unknown_job`, `input_invalid`.
 */
export function runRequestOf(body: RunBody, jobs: JobRegistry): RunRequest {
  const { job: name, input = null, mode, priority, labels } = body;
  if (name === undefined) {
    return {
      job: null,
      graph: checkedGraph(body.graph),
      mode: mode ?? "orchestrated",
      input,
      ...(priority !== undefined && { priority }),
      ...(labels !== undefined && { labels }),
    };
  }
  return requestOfJob({ job: name, input: body.input, mode, priority, labels }, jobs);
}

function checkedGraph(graph: unknown): Graph {
  const checked = GRAPH_SCHEMA.safeParse(graph);
  if (checked.success) return checked.data;
  const issues = issuesOf(checked.error).map(({ path, message }) => ({ path: byKey(path, graph), message }));
  throw new TaskiqError("graph_invalid", inWords(issues), { details: { issues } });
}

/** `steps.3.input` as `steps.load.input`, where that step has a key: a place in a list of ten thousand says nothing. */
function byKey(path: Issue["path"], graph: unknown): string {
  const [, place, rest] = /^steps\.(\d+)(\..*)?$/.exec(path) ?? [];
  if (place === undefined || typeof graph !== "object" || graph === null || !("steps" in graph)) return path;
  const step: unknown = Array.isArray(graph.steps) ? graph.steps[Number(place)] : undefined;
  const key = typeof step === "object" && step !== null && "key" in step ? step.key : undefined;
  return typeof key === "string" && key !== "" ? `steps.${boundText(key)}${rest ?? ""}` : path;
}
