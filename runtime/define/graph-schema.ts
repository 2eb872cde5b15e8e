/**
 * The shape of a graph as it is posted: which fields there are, and of which types. Numbers are not held to their bounds here, nor keys to their
 * letters: graph-check.ts does that, and names the step by its key. The bounds are told only.
 */

import { z } from "zod";
import { type Condition, GRAPH_LIMITS, type Graph, type Step } from "../model/graph.ts";
import { DEADLINE_LIMITS, LABEL_LIMITS, MAX_RUNNING_LIMITS } from "../model/graph-bounds.ts";
import { POLICY_LIMITS, PRIORITY_LIMITS } from "../model/task.ts";

type Bounds = { readonly min: number; readonly max: number };

const whole = ({ min, max }: Bounds, description: string) =>
  z.int().meta({ description, minimum: min, maximum: max }).exactOptional();

const SCALAR = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const CONDITION = z
  .strictObject({
    $ref: z.string().describe('What is looked at: a part of a step\'s result, as in "check.changed".'),
    equals: SCALAR.describe("It has to be this.").exactOptional(),
    not_equals: SCALAR.describe("It has to be something else than this.").exactOptional(),
  })
  .describe(
    "Without `equals` and `not_equals` it has to be true, or a number other than 0, or a text that is not empty, or a list or an object.",
  );

const RETRY = z
  .strictObject({
    max_attempts: whole(POLICY_LIMITS.maxAttempts, "Attempts in all."),
    backoff_ms: whole(
      POLICY_LIMITS.backoffMs,
      "The first wait is at most this long, in milliseconds; it doubles each time.",
    ),
    max_backoff_ms: whole(POLICY_LIMITS.maxBackoffMs, "No wait is longer, in milliseconds."),
  })
  .describe("Default: that of the task.");

const STEP = z.strictObject({
  key: z.string().meta({
    description: "Unique in the graph; 1 to 100 letters, digits, _ and -.",
    pattern: "^[A-Za-z0-9_-]{1,100}$",
  }),
  task: z.string().describe("The name of a task."),
  input: z
    .unknown()
    .describe(
      'The task\'s input. In it `{"$ref": "step.path"}` stands for a part of another step\'s result, `{"$input": "path"}` for one of the run\'s input, `{"$item": "path"}` for one of the element of a step with `map`, `{"$index": true}` for its place in the list. With `"optional": true` it is null where there is nothing. `{"$literal": value}` is the value as it stands. A name with a dot in it is written in a list: `{"$ref": ["step", "a.b"]}`. An empty path is the whole.',
    )
    .exactOptional(),
  after: z
    .array(z.string())
    .describe("Keys of steps that have to be over before, beside those that are referred to.")
    .exactOptional(),
  map: z
    .unknown()
    .describe(
      "A list, or a reference to one: the task runs once for each element. The step's result is the list of their results.",
    )
    .exactOptional(),
  when: CONDITION.exactOptional(),
  on_parent_failure: z
    .enum(["skip", "cancel", "run"])
    .describe(
      "What a step before that failed or was cancelled means for this one. Default skip. A skipped one skips it, but for `run`.",
    )
    .exactOptional(),
  queue: z.string().describe("A configured queue. Default: that of the task.").exactOptional(),
  priority: whole(PRIORITY_LIMITS, "Higher starts earlier; that of the run is added to it. Default: that of the task."),
  ordering_key: z
    .string()
    .min(1)
    .max(200)
    .describe("FIFO queues: tasks with equal keys run one after the other. Default: the step's id.")
    .exactOptional(),
  retry: RETRY.exactOptional(),
  timeout_ms: whole(POLICY_LIMITS.timeoutMs, "Longest run of one attempt, in milliseconds. Default: that of the task."),
  grace_ms: whole(POLICY_LIMITS.graceMs, "Time to end after an abort, in milliseconds. Default: that of the task."),
  on_lost: z
    .enum(["requeue", "fail"])
    .describe("What a dead worker means: run again, or fail. Default: that of the task.")
    .exactOptional(),
  isolation: z
    .enum(["inline", "process"])
    .describe("In the worker's process or in one of its own. Default: that of the task.")
    .exactOptional(),
  concurrency: z
    .strictObject({
      key: z.string().min(1).max(200).describe("What shares the limit."),
      max_running: z.int().meta({
        description: "At most so many at once in the whole fleet.",
        minimum: MAX_RUNNING_LIMITS.min,
        maximum: MAX_RUNNING_LIMITS.max,
      }),
    })
    .exactOptional(),
  labels: z
    .record(z.string(), z.string())
    .meta({
      description: `Texts that go with the task. Names that start with \`${LABEL_LIMITS.reserved}\` are reserved.`,
      maxProperties: LABEL_LIMITS.count,
    })
    .exactOptional(),
});

const FINISHER = z
  .strictObject({
    task: z.string().describe("The name of a task."),
    queue: z.string().describe("A configured queue. Default: that of the task.").exactOptional(),
  })
  .describe("A task that runs when the run is over, with `{run_id, job, state, failed_steps, error}`.");

/** A graph as it is posted. What comes out has no other fields than `Graph`. */
export const GRAPH_SCHEMA = z
  .strictObject({
    steps: z.array(STEP).meta({ description: "In any order.", minItems: 1, maxItems: GRAPH_LIMITS.steps }),
    result: z
      .unknown()
      .describe(
        "What a run that succeeded results in, with references in it as in an input. Default: the results of the steps that no other refers to, by key.",
      )
      .exactOptional(),
    deadline_ms: whole(DEADLINE_LIMITS, "A run that takes longer fails, in milliseconds. Default: none."),
    on_finished: FINISHER.exactOptional(),
  })
  .describe("Steps, and what each takes from the others.");

// That the shape here and the type there say the same, in both directions.
GRAPH_SCHEMA satisfies z.ZodType<Graph>;
STEP satisfies z.ZodType<Step>;
CONDITION satisfies z.ZodType<Condition>;
