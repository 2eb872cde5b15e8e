/** `defineJob`: a job is its name, the schema of its input, and a graph that is built once from typed references. */

import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import { inWords, issuesOf } from "../issues.ts";
import type { Graph, RunMode } from "../model/graph.ts";
import { DEADLINE_LIMITS } from "../model/graph-bounds.ts";
import { PRIORITY_LIMITS } from "../model/task.ts";
import { GRAPH_SCHEMA } from "./graph-schema.ts";
import { createJobBuilder, type JobBuilder } from "./job-builder.ts";
import { templateOf } from "./job-template.ts";
import { createRef, type Json, type Ref } from "./reference.ts";

export type JobOptions<Schema extends z.ZodType, Finisher extends z.ZodType = z.ZodType> = {
  /** Unique among all jobs; 1 to 200 characters: letters, digits and `. _ : / -`. */
  readonly name: string;
  /** What a run is given. What the schema puts out is what `input` stands for in `build`, so it has to be JSON. */
  readonly input: Schema;
  /** For people who choose a job. */
  readonly description?: string;
  /** `orchestrated` (default): each step is a task. `simple`: all of them run in one task, unless the caller says otherwise. */
  readonly mode?: RunMode;
  /** From -100 to 100; added to that of each step. Default 0. */
  readonly priority?: number;
  /** Of its runs, with those that a caller gives. */
  readonly labels?: Readonly<Record<string, string>>;
  /** A run that takes longer fails, and its steps are cancelled; in milliseconds, from 1 s to 365 d. Default: none. */
  readonly deadlineMs?: number;
  /** A task that runs with a `RunOutcome` when a run is over, however it ended; in its own queue unless another is named. */
  readonly onFinished?: RunFinisher<Finisher> | { readonly task: RunFinisher<Finisher>; readonly queue?: string };
  /**
   * Says the steps, once, when the job is defined. `input` and what steps return are references: values are there only in the tasks.
   * @returns what a run that succeeded results in. Default: the results of the steps that no other refers to, by key
   */
  build(job: JobBuilder, input: Ref<Json<z.output<Schema>>>): unknown;
};

/** What a task that `onFinished` names is given. */
export type RunOutcome = {
  readonly run_id: string;
  /** Null: a graph that was posted as it is. */
  readonly job: string | null;
  readonly state: "succeeded" | "failed" | "cancelled";
  readonly failed_steps: number;
  /** Of the run itself, such as that its deadline has passed. */
  readonly error: { readonly code: string; readonly type: string; readonly message: string } | null;
};

/** A task whose input may be a `RunOutcome`. */
type RunFinisher<Schema extends z.ZodType> = {
  readonly name: string;
  readonly input: Schema & (RunOutcome extends z.input<Schema> ? unknown : { readonly "its input": RunOutcome });
};

export type JobDefinition<Schema extends z.ZodType = z.ZodType> = {
  readonly name: string;
  readonly input: Schema;
  readonly graph: Graph;
  readonly mode: RunMode;
  readonly description?: string;
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>>;
};

export type JobRegistry = ReadonlyMap<string, JobDefinition>;

/**
 * Defines a job. What is wrong with its graph is said when a process takes it up, and knows all tasks.
 * @throws TaskiqError `definition_invalid` naming the option or the place in the graph, what was expected and what it got
 */
export function defineJob<Schema extends z.ZodType, Finisher extends z.ZodType>(
  options: JobOptions<Schema, Finisher>,
): JobDefinition<Schema> {
  const checked = SHAPE.safeParse(options);
  if (!checked.success) throw refused(options.name, inWords(issuesOf(checked.error)));
  const { name, mode, priority, labels, description, deadlineMs, onFinished } = checked.data;
  return {
    name,
    input: options.input,
    graph: graphOf(name, options, {
      ...(deadlineMs !== undefined && { deadline_ms: deadlineMs }),
      ...(onFinished && { on_finished: onFinished }),
    }),
    mode,
    ...(description !== undefined && { description }),
    priority,
    labels,
  };
}

export function isJob(value: unknown): value is JobDefinition {
  return typeof value === "object" && value !== null && "graph" in value && "mode" in value && "name" in value;
}

/** The graph as it would be posted. */
function graphOf(
  name: string,
  { build }: Pick<JobOptions<z.ZodType>, "build">,
  whole: Pick<Graph, "deadline_ms" | "on_finished">,
): Graph {
  const job = {};
  const { builder, steps } = createJobBuilder(job);
  let graph: object;
  try {
    // What `build` is given is of the type of the schema, which a definition of any schema does not know.
    const input = createRef({ kind: "input", job, path: [], optional: false }) as Parameters<typeof build>[1];
    const result = build(builder, input);
    const template = result === undefined ? {} : { result: templateOf(result, { job, at: "result", key: null }) };
    graph = { steps, ...template, ...whole };
  } catch (cause) {
    if (!(cause instanceof TaskiqError) || cause.code !== "definition_invalid") throw cause;
    throw refused(name, cause.message.replace(/\.$/, ""), cause);
  }
  const checked = GRAPH_SCHEMA.safeParse(graph);
  if (!checked.success) throw refused(name, inWords(issuesOf(checked.error)));
  return checked.data;
}

function refused(name: unknown, problems: string, cause?: unknown): TaskiqError {
  const message = `defineJob(${JSON.stringify(name)}): ${problems}. Correct the definition.`;
  return new TaskiqError("definition_invalid", message, { cause });
}

const SHAPE = z.strictObject({
  name: z
    .string()
    .max(200)
    .regex(/^[A-Za-z0-9._:/-]+$/, "expected 1 to 200 letters, digits and . _ : / -"),
  input: z.custom<z.ZodType>((value) => value instanceof z.ZodType, "expected a zod schema"),
  description: z.string().max(1_000).optional(),
  mode: z.enum(["orchestrated", "simple"]).default("orchestrated"),
  priority: z.int().min(PRIORITY_LIMITS.min).max(PRIORITY_LIMITS.max).default(PRIORITY_LIMITS.default),
  labels: z.record(z.string(), z.string()).default({}),
  deadlineMs: z.int().min(DEADLINE_LIMITS.min).max(DEADLINE_LIMITS.max).optional(),
  onFinished: z
    .union([
      z.strictObject({ task: z.object({ name: z.string() }), queue: z.string().optional() }),
      z.object({ name: z.string() }).transform((task) => ({ task, queue: undefined })),
    ])
    .transform(({ task, queue }) => ({ task: task.name, ...(queue !== undefined && { queue }) }))
    .optional(),
  build: z.custom<() => unknown>((value) => typeof value === "function", "expected a function"),
});
