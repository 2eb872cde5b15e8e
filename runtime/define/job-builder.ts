/** What `build` of a job says its steps with: each call adds a step to the graph, and returns a reference to what it will result in. */

import type { z } from "zod";
import { TaskiqError } from "../errors.ts";
import type { OnParentFailure } from "../model/graph.ts";
import { pathOf, templateOf, type Writing } from "./job-template.ts";
import {
  createRef,
  inWords,
  isRef,
  type JobCondition,
  type Json,
  type Ref,
  sourceOf,
  type Template,
} from "./reference.ts";
import type { TaskDefinition } from "./task.ts";

/** What a step says beside its task and input. Default of all that a task says too: that of the task. */
export type StepOptions = {
  /** Steps that have to be over before, beside those whose results it takes. */
  readonly after?: readonly Ref<unknown>[];
  /** Skips the step unless the value is true, or a number other than 0, or a text that is not empty; or see `equals` and `notEquals`. */
  readonly when?: Ref<unknown> | JobCondition;
  /**
   * What a step before that failed or was cancelled means for this one: `skip` (default), `cancel`, or `run`, with null in place of its result.
   * A skipped one skips this one, but for `run`.
   */
  readonly onParentFailure?: OnParentFailure;
  readonly queue?: string;
  /** From -100 to 100; that of the run is added. */
  readonly priority?: number;
  /** FIFO queues: tasks with equal keys run one after the other. Default: the step's id. */
  readonly orderingKey?: string;
  readonly retry?: { readonly maxAttempts?: number; readonly backoffMs?: number; readonly maxBackoffMs?: number };
  /** Longest run of one attempt in milliseconds, to 11 h. */
  readonly timeoutMs?: number;
  /** Time to end after an abort, in milliseconds. */
  readonly graceMs?: number;
  readonly onLost?: "requeue" | "fail";
  readonly isolation?: "inline" | "process";
  /** At most `maxRunning` tasks of this key at once in the whole fleet. */
  readonly concurrency?: { readonly key: string; readonly maxRunning: number };
  readonly labels?: Readonly<Record<string, string>>;
};

export type JobBuilder = {
  /**
   * Adds a step that runs a task.
   * @param key unique in the job; 1 to 100 letters, digits, `_` and `-`
   * @param input the task's, with references in it to what other steps result in: it runs when they have succeeded
   * @returns what it results in
   */
  step<Schema extends z.ZodType, Output>(
    key: string,
    task: TaskDefinition<Schema, Output>,
    input: Template<z.input<Schema>>,
    options?: StepOptions,
  ): Ref<Json<Awaited<Output>>>;
  /**
   * Adds a step that runs a task once for each element of a list, which may be empty.
   * @param input of the task, for an element and its place in the list, from 0
   * @returns the list of what they result in, in the order of the elements
   */
  map<Element, Schema extends z.ZodType, Output>(
    key: string,
    list: Ref<readonly Element[]> | readonly Template<Element>[],
    task: TaskDefinition<Schema, Output>,
    input: (element: Ref<Element>, place: Ref<number>) => Template<z.input<Schema>>,
    options?: StepOptions,
  ): Ref<Json<Awaited<Output>>[]>;
};

/** `steps` grows with each call of the builder. Their shape is checked with the whole graph. */
export function createJobBuilder(job: object): { readonly builder: JobBuilder; readonly steps: readonly object[] } {
  const steps: object[] = [];

  function add(key: string, task: { readonly name: string }, fields: object, options: StepOptions) {
    steps.push({ key, task: task.name, ...fields, ...optionFields(options, { job, at: `steps.${key}`, key: null }) });
    return createRef({ kind: "step", job, key, path: [], optional: false });
  }

  const builder = {
    step(key: string, task: { readonly name: string }, input: unknown, options: StepOptions = {}) {
      return add(key, task, { input: templateOf(input, { job, at: `steps.${key}.input`, key: null }) }, options);
    },
    map(
      key: string,
      list: unknown,
      task: { readonly name: string },
      input: (element: Ref<unknown>, place: Ref<unknown>) => unknown,
      options: StepOptions = {},
    ) {
      const element = createRef({ kind: "item", job, key, path: [], optional: false });
      const place = createRef({ kind: "index", job, key, path: [], optional: false });
      const map = templateOf(list, { job, at: `steps.${key}.map`, key: null });
      const template = templateOf(input(element, place), { job, at: `steps.${key}.input`, key });
      return add(key, task, { map, input: template }, options);
    },
  };
  // The types of references are those of the tasks, which nothing of a reference shows when it is made.
  return { builder: builder as unknown as JobBuilder, steps };
}

/** In the names of the graph; those that are not given are left out. */
function optionFields(options: StepOptions, writing: Writing): object {
  const { after, when, onParentFailure, orderingKey, retry, timeoutMs, graceMs, onLost, concurrency, ...same } =
    options;
  return present({
    ...same,
    after: after?.map((reference) => keyOf(reference, writing)),
    when: when === undefined ? undefined : conditionOf(when, writing),
    on_parent_failure: onParentFailure,
    ordering_key: orderingKey,
    retry:
      retry && renamed(retry, { maxAttempts: "max_attempts", backoffMs: "backoff_ms", maxBackoffMs: "max_backoff_ms" }),
    timeout_ms: timeoutMs,
    grace_ms: graceMs,
    on_lost: onLost,
    concurrency: concurrency && renamed(concurrency, { maxRunning: "max_running" }),
  });
}

function keyOf(reference: unknown, { job, at }: Writing): string {
  const source = sourceOf(reference);
  if (source.kind === "step" && source.job === job) return source.key;
  throw new TaskiqError("definition_invalid", `${at}.after: expected a step of this job, got ${inWords(source)}.`);
}

function conditionOf(when: Ref<unknown> | JobCondition, writing: Writing): object {
  const { reference, ...compared } = isRef(when) ? { reference: when } : when;
  const source = sourceOf(reference);
  if (source.kind !== "step" || source.job !== writing.job) {
    throw new TaskiqError(
      "definition_invalid",
      `${writing.at}.when: expected a part of the result of a step of this job, got ${inWords(source)}.`,
    );
  }
  return { $ref: pathOf([source.key, ...source.path]), ...compared };
}

function renamed(fields: object, names: Readonly<Record<string, string>>): object {
  return present(Object.fromEntries(Object.entries(fields).map(([name, value]) => [names[name] ?? name, value])));
}

function present(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
