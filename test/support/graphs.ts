/**
 * Random graphs whose outcome is known beforehand. Every step is the task `test.step`, and what it does stands in its input:
 *
 *   {"script": {"value": 3, "failures": 1, "gives_up": false, "elements_giving_up": [2]}, "refs": [{"$ref": "s0.sum"}, …]}
 *
 * and in a mapped step also `"item": {"$item": ""}, "index": {"$index": true}`. With its input filled in, a step
 * 1. gives up (TerminalError) where `gives_up` is true, or its `index` is in `elements_giving_up`;
 * 2. fails (Error) as long as fewer than `failures` of its attempts have failed: whether it succeeds after all is up to `retry.max_attempts`;
 * 3. returns `{sum, list, flag}`: `sum` is `value`, `index` and everything in `refs` and `item` in one number below 1,000, `list` has `sum % 4`
 *    entries, of which the third looks like a reference and is a value, `flag` is `sum % 3 > 0`.
 * So that whatever stands for a reference changes the result, and by `list` and `flag` what further steps there are. `playStep` is this rule,
 * `testStep` the task, `expectedOf` the run by hand.
 *
 * A graph shrinks by losing steps, references and failures. Longer than most: the arbitrary, the task and the oracle have to agree.
 */

import fc from "fast-check";
import { z } from "zod";
import type { Context } from "../../runtime/define/context.ts";
import { TerminalError } from "../../runtime/define/errors.ts";
import { defineTask } from "../../runtime/define/task.ts";
import type { Condition, Graph, OnParentFailure, Parent, PlannedStep, Step } from "../../runtime/model/graph.ts";
import { type RunInMemory, startRun } from "../../runtime/model/interpret.ts";
import type { RunState } from "../../runtime/model/run.ts";
import type { TaskState } from "../../runtime/model/task.ts";
import { fill, referencesOf } from "../../runtime/model/template.ts";

export type Script = {
  readonly value: number;
  /** Attempts that fail before one that does not. */
  readonly failures: number;
  readonly gives_up: boolean;
  readonly elements_giving_up: readonly number[];
};

export type StepInput = {
  readonly script: Script;
  readonly refs: readonly unknown[];
  readonly item?: unknown;
  readonly index?: number | undefined;
};

export type StepResult = { readonly sum: number; readonly list: readonly unknown[]; readonly flag: boolean };

type Played =
  | { readonly kind: "returns"; readonly result: StepResult }
  /** Follows the retry policy. */
  | { readonly kind: "fails" }
  | { readonly kind: "gives_up" };

/** What an attempt does after so many failures. */
export function playStep({ script, refs, item, index }: StepInput, failures: number): Played {
  const isDoomed = index !== undefined && script.elements_giving_up.includes(index);
  if (script.gives_up || isDoomed) return { kind: "gives_up" };
  if (failures < script.failures) return { kind: "fails" };
  const sum = (script.value + (index ?? 0) + digest(refs) + digest(item ?? null)) % 1_000;
  const list = [sum, sum + 1, { $ref: "nowhere" }].slice(0, sum % 4);
  return { kind: "returns", result: { sum, list, flag: sum % 3 > 0 } };
}

/** A number that tells values apart, and the places where they stand. */
function digest(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return value === true ? 5 : 7;
  return Object.values(value).reduce<number>((sum, entry, place) => (sum * 3 + digest(entry) + place) % 1_000, 11);
}

const INPUT = z.strictObject({
  script: z.strictObject({
    value: z.int(),
    failures: z.int(),
    gives_up: z.boolean(),
    elements_giving_up: z.array(z.int()),
  }),
  refs: z.array(z.unknown()),
  item: z.unknown().optional(),
  index: z.int().optional(),
});

/** The task. `before` is awaited by every attempt: to note it, to hold it, to kill its worker. */
export function testStep(before: (input: StepInput, ctx: Context) => void | Promise<void> = () => {}) {
  return defineTask({
    name: "test.step",
    input: INPUT,
    retry: { backoffMs: 0, maxBackoffMs: 0 },
    async run(input, ctx) {
      await before(input, ctx);
      const played = playStep(input, ctx.failures);
      if (played.kind === "gives_up") throw new TerminalError("gives up");
      if (played.kind === "fails") throw new Error(`fails after ${ctx.failures} failures`);
      return played.result;
    },
  });
}

export type Expected = {
  readonly state: RunState;
  readonly result: unknown;
  /** Of all steps and elements, by key. `failures`: attempts that failed, one that cannot be repeated too. */
  readonly steps: ReadonlyMap<
    string,
    { readonly state: TaskState; readonly result: unknown; readonly code: string | null; readonly failures: number }
  >;
};

/** What a run of this graph comes to, when nobody cancels it. `choose` says which of so many goes on next: it makes no difference. */
export function expectedOf(graph: Graph, choose: (count: number) => number = () => 0): Expected {
  const run = startRun(plannedSteps(graph));
  const failures = playRun(run, choose);
  const steps = [...run.states()].map(([key, state]) => {
    const { result, error } = run.get(key);
    return [key, { state, result, code: error?.code ?? null, failures: failures.get(key) ?? 0 }] as const;
  });
  return { state: run.state(), result: run.result(graph.result), steps: new Map(steps) };
}

/** Plays a run to its end, and tells how often each step failed. */
export function playRun(
  run: RunInMemory,
  choose: (count: number) => number,
  seen: (key: string) => void = () => {},
): Map<string, number> {
  const running = new Map<string, { step: Step; input: StepInput }>();
  const failures = new Map<string, number>();
  while (run.queued.size + running.size > 0) {
    const keys = [...run.queued, ...running.keys()];
    const key = keys[choose(keys.length)] ?? "";
    const at = running.get(key);
    if (at === undefined) {
      seen(key);
      const begun = run.begin(key);
      // The generator gives every step an input of this shape, whatever its references are filled with.
      if (begun.kind === "running") running.set(key, { step: begun.step, input: begun.input as StepInput });
      if (begun.kind === "failed") failures.set(key, 1);
      continue;
    }
    const failed = failures.get(key) ?? 0;
    const played = playStep(at.input, failed);
    if (played.kind !== "returns") failures.set(key, failed + 1);
    const isRepeated = played.kind === "fails" && failed + 1 < (at.step.retry?.max_attempts ?? 3);
    if (isRepeated) continue;
    running.delete(key);
    if (played.kind === "returns") run.end(key, { kind: "succeeded", result: played.result });
    else run.end(key, { kind: "failed", error: { code: "handler_error", type: "Error", message: played.kind } });
  }
  return failures;
}

/** The steps of a valid graph whose steps stand in order, with their parents. */
export function plannedSteps(graph: Graph): PlannedStep[] {
  return graph.steps.map((step) => {
    const parents = parentsOf(step);
    const refers = [step.input, step.map, step.when].some((template) => referencesOf(template).length > 0);
    // An input without references is a value by now.
    const isTemplate = refers || step.map !== undefined;
    return { step: isTemplate ? step : { ...step, input: fill(step.input, {}) }, parents, refers };
  });
}

function parentsOf({ input, map, when, after = [] }: Step): Parent[] {
  const needed = [...referencesOf(map), ...referencesOf(when)].map(({ step }) => step);
  const parents = new Map([...after, ...needed].map((key) => [key, false]));
  for (const { step, optional } of referencesOf(input)) parents.set(step, (parents.get(step) ?? true) && optional);
  return [...parents].map(([key, optional]) => ({ key, optional }));
}

/** A step before its place is known. `back`: so many steps before this one, counted round where there are fewer. */
type Sketch = {
  readonly script: Script;
  readonly maxAttempts: number;
  readonly policy: OnParentFailure | undefined;
  readonly refs: readonly { readonly back: number; readonly path: Path; readonly optional: boolean }[];
  readonly after: readonly number[];
  readonly when: { readonly back: number; readonly test: Test } | null;
  readonly map: { readonly over: "values" | "result" | "number"; readonly back: number; readonly count: number } | null;
};
type Path = "whole" | "field" | "place" | "missing" | "literal";
type Test = "flag" | "no flag" | "some sum" | "whole";

/**
 * Graphs of 1 to `maxSteps` steps, 200 by default. Many steps run whatever becomes of others, else one failure would end most of a large graph; in
 * one graph of four none fails for good, but for references that find nothing.
 */
export function graphs({ maxSteps = 200 }: { readonly maxSteps?: number } = {}): fc.Arbitrary<Graph> {
  return fc
    .record({
      sketches: fc.array(SKETCH, { minLength: 1, maxLength: maxSteps, size: "max" }),
      isCalm: fc.nat(3).map((side) => side === 0),
      result: fc.option(fc.array(fc.record({ back: BACK, path: PATH }), { maxLength: 3 }), { freq: 1, nil: null }),
    })
    .map(({ sketches, isCalm, result }) => {
      const isMapped = sketches.map(({ map }) => map !== null);
      const steps = sketches.map((sketch, place) => stepOf(isCalm ? calmed(sketch) : sketch, place, isMapped));
      if (result === null) return { steps };
      const refs = result.map(({ back, path }) => refTo(back, path, false, steps.length, isMapped));
      return { steps, result: { refs } };
    });
}

const BACK = fc.oneof({ weight: 3, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(199) });
const PATH = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom<Path>("whole", "field") },
  { weight: 1, arbitrary: fc.constantFrom<Path>("literal", "place", "missing") },
);
/** One in forty. */
const SELDOM = fc.nat(39).map((side) => side === 39);

const SKETCH: fc.Arbitrary<Sketch> = fc.record({
  script: fc.record({
    value: fc.nat(99),
    failures: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
    gives_up: SELDOM,
    elements_giving_up: fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.uniqueArray(fc.nat(4), { maxLength: 2 }) },
    ),
  }),
  maxAttempts: fc.constantFrom(3, 2, 1),
  policy: fc.constantFrom<(OnParentFailure | undefined)[]>(
    undefined,
    "run",
    "skip",
    "run",
    "cancel",
    "run",
    "run",
    "run",
  ),
  refs: fc.array(fc.record({ back: BACK, path: PATH, optional: fc.boolean() }), { maxLength: 3 }),
  after: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.uniqueArray(fc.nat(20), { maxLength: 2 }) },
  ),
  when: fc.option(fc.record({ back: BACK, test: fc.constantFrom<Test[]>("flag", "no flag", "some sum", "whole") }), {
    freq: 8,
  }),
  map: fc.option(
    fc.record({
      over: fc.oneof(
        { weight: 19, arbitrary: fc.constantFrom("values" as const, "result" as const, "values" as const) },
        { weight: 1, arbitrary: fc.constant("number" as const) },
      ),
      back: BACK,
      count: fc.nat(5),
    }),
    { freq: 6 },
  ),
});

function calmed(sketch: Sketch): Sketch {
  const failures = Math.min(sketch.script.failures, sketch.maxAttempts - 1);
  return { ...sketch, script: { ...sketch.script, failures, gives_up: false, elements_giving_up: [] } };
}

function stepOf(sketch: Sketch, place: number, isMapped: readonly boolean[]): Step {
  const { script, maxAttempts, map, when } = sketch;
  const hasParents = place > 0;
  // There is no list in a parent that did not succeed: the step would fail, and that is worth only a few.
  const isList = map === null || map.over === "values" || map.count === 0;
  const policy = isList || sketch.policy !== "run" ? sketch.policy : undefined;
  const refs = hasParents
    ? sketch.refs.map(({ back, path, optional }) => refTo(back, path, optional, place, isMapped))
    : [];
  const after = hasParents ? [...new Set(sketch.after.map((back) => keyBefore(back, place)))] : [];
  return {
    key: `s${place}`,
    task: "test.step",
    input: { script, refs, ...(map !== null && { item: { $item: "" }, index: { $index: true } }) },
    retry: { max_attempts: maxAttempts, backoff_ms: 0, max_backoff_ms: 0 },
    ...(policy !== undefined && { on_parent_failure: policy }),
    ...(after.length > 0 && { after }),
    ...(when !== null && hasParents && { when: conditionOn(when, place, isMapped) }),
    ...(map !== null && { map: listOf(map, place, isMapped) }),
  };
}

function refTo(back: number, path: Path, optional: boolean, place: number, isMapped: readonly boolean[]): unknown {
  // Looks like a reference, and is a value.
  if (path === "literal") return { $literal: { $ref: "nowhere" } };
  const key = keyBefore(back, place);
  const ofStep = { whole: key, field: `${key}.sum`, place: `${key}.list.0`, missing: `${key}.nothing` };
  const ofMapped = { whole: key, field: `${key}.0.sum`, place: `${key}.1.list`, missing: `${key}.99` };
  const $ref = (isMapped[placeBefore(back, place)] ? ofMapped : ofStep)[path];
  // A required part that is never there would fail most graphs at their beginning.
  return optional || path === "missing" ? { $ref, optional: true } : { $ref };
}

function conditionOn(
  { back, test }: { readonly back: number; readonly test: Test },
  place: number,
  isMapped: readonly boolean[],
): Condition {
  const key = keyBefore(back, place);
  if (test === "whole" || isMapped[placeBefore(back, place)]) return { $ref: key };
  switch (test) {
    case "flag":
      return { $ref: `${key}.flag` };
    case "no flag":
      return { $ref: `${key}.flag`, not_equals: true };
    case "some sum":
      return { $ref: `${key}.sum`, not_equals: 5 };
  }
}

/** `number`: no list, but where the parent is mapped. */
function listOf(map: NonNullable<Sketch["map"]>, place: number, isMapped: readonly boolean[]): unknown {
  const values = Array.from({ length: map.count }, (_, value) => value);
  if (place === 0) return values;
  const key = keyBefore(map.back, place);
  const isOverMapped = isMapped[placeBefore(map.back, place)];
  if (map.over === "values") return [...values, { $ref: isOverMapped ? key : `${key}.sum` }];
  if (isOverMapped) return { $ref: key };
  return { $ref: map.over === "result" ? `${key}.list` : `${key}.sum` };
}

function placeBefore(back: number, place: number): number {
  return place - 1 - (back % place);
}

function keyBefore(back: number, place: number): string {
  return `s${placeBefore(back, place)}`;
}
