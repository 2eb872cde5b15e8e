/**
 * A job as data: steps, and what each takes from the others. The same shape is posted as JSON, made by `defineJob` and kept with a run.
 *
 * Field names are those of the JSON. Everything here is pure; graph-check.ts says what is wrong with a graph, template.ts reads references.
 */

export type OnParentFailure = "skip" | "cancel" | "run";
export type RunMode = "orchestrated" | "simple";

/** What it takes for a step to run: a truthy value at the reference, or one equal (or not equal) to a JSON scalar. */
export type Condition = {
  readonly $ref: string;
  readonly equals?: string | number | boolean | null;
  readonly not_equals?: string | number | boolean | null;
};

export type Step = {
  /** Unique in its graph; 1 to 100 letters, digits, `_` and `-`. */
  readonly key: string;
  /** Name of the task. */
  readonly task: string;
  /** The task's input, with references in it (template.ts). */
  readonly input?: unknown;
  /** Steps that must be over before, beside those that are referred to. */
  readonly after?: readonly string[];
  /** Runs the task once for each element of this list: a reference, or a list with references in it. `{"$item": "path"}` in the input is the element. */
  readonly map?: unknown;
  /** Skips the step where it does not hold. */
  readonly when?: Condition;
  /** What a failed or cancelled parent means. Default `skip`. A skipped parent skips the step, but for `run`. */
  readonly on_parent_failure?: OnParentFailure;
  readonly queue?: string;
  /** From -100 to 100; the run's is added to it. */
  readonly priority?: number;
  readonly ordering_key?: string;
  readonly retry?: { readonly max_attempts?: number; readonly backoff_ms?: number; readonly max_backoff_ms?: number };
  readonly timeout_ms?: number;
  readonly grace_ms?: number;
  readonly on_lost?: "requeue" | "fail";
  readonly isolation?: "inline" | "process";
  /** At most `max_running` tasks of this key at once in the whole fleet. */
  readonly concurrency?: { readonly key: string; readonly max_running: number };
  readonly labels?: Readonly<Record<string, string>>;
};

export type Graph = {
  /** 1 to 20,000. */
  readonly steps: readonly Step[];
  /** What a run that succeeded results in: a template. Default: the results of the steps that no other refers to, by key. */
  readonly result?: unknown;
  /** A run that takes longer fails, its steps are cancelled. From 1 s to 365 d. Default: none. */
  readonly deadline_ms?: number;
  /** A task that runs with the outcome when a run is over: `{run_id, job, state, error}`. */
  readonly on_finished?: { readonly task: string; readonly queue?: string };
};

export const GRAPH_LIMITS = { steps: 20_000, elements: 20_000, edges: 200_000 } as const;

/** A parent of a step. `optional`: the step takes null for it where it did not succeed. */
export type Parent = { readonly key: string; readonly optional: boolean };

/** A step in its place; parents come before children. */
export type PlannedStep = {
  readonly step: Step;
  readonly parents: readonly Parent[];
  /** Its input, `map` or `when` cannot be known before its parents are over. */
  readonly refers: boolean;
};

/** What a row keeps of its step for whoever claims it. */
export type StepPlan = {
  /** The input is a template. */
  readonly refers?: true;
  readonly when?: Condition;
  readonly map?: unknown;
};

/** The step key of one element of a mapped step. */
export function elementKey(key: string, index: number): string {
  return `${key}[${index}]`;
}
