/**
 * A run in memory: which steps may start, what follows from the end of each, and how the run ends. Executes nothing, knows no time.
 *
 *   blocked ──► queued ──► running ──► succeeded | failed | cancelled          begin, end
 *      │           └─────────┴──► skipped | failed                             begin: its condition, or a reference that finds nothing
 *      ├──► skipped | cancelled                                                by its parents, when the last of them is over
 *      └──► cancelled                                                          cancel
 *
 * A mapped step that begins is blocked again until its elements are over, and then succeeded or failed. The rows of a run make the same moves
 * (migration 0012-runs.sql); the mode `simple` runs by this alone.
 */

import { elementKey, type PlannedStep, type Step, type StepPlan } from "./graph.ts";
import type { RunState } from "./run.ts";
import { type ParentResult, partOf, startOf } from "./step-start.ts";
import type { TaskError, TaskState, TerminalState } from "./task.ts";
import { fill } from "./template.ts";

export type Begun =
  /** It runs, until `end`. */
  | { readonly kind: "running"; readonly step: Step; readonly input: unknown }
  /** Its elements are queued; without any it has succeeded. */
  | { readonly kind: "expanded"; readonly elements: readonly string[] }
  /** It is over without having run. */
  | { readonly kind: "skipped" }
  | { readonly kind: "failed"; readonly error: TaskError };

export type StepEnd =
  | { readonly kind: "succeeded"; readonly result: unknown }
  | { readonly kind: "failed"; readonly error: TaskError }
  | { readonly kind: "cancelled"; readonly error: TaskError };

export type StepOutcome = {
  readonly state: TaskState;
  /** Null but for what succeeded. Of a mapped step it is that of its elements: null. */
  readonly result: unknown;
  /** Null but for what failed or was cancelled. */
  readonly error: TaskError | null;
};

export type RunInMemory = {
  /** Keys of what may start, in the order in which it became ready. As it stands now: it changes with each call below. */
  readonly queued: ReadonlySet<string>;
  /** Keys of what is over, elements too, in the order in which it ended. Grows. */
  readonly over: readonly string[];
  /** Starts what is queued. */
  begin(key: string): Begun;
  /** Ends what runs. One step may be cancelled before it runs as well. */
  end(key: string, end: StepEnd): void;
  /** Cancels everything that has not begun; what runs goes on, but fails no more: it is cancelled instead. `deadline`: the run fails. */
  cancel(reason: "requested" | "deadline"): void;
  /** Of a step or an element; throws for a key that is neither. */
  get(key: string): StepOutcome;
  /** How many elements a mapped step has; null: it is none, or not expanded. Throws for a key that is neither step nor element. */
  elementsOf(key: string): number | null;
  /** Of all steps and elements. */
  states(): Map<string, TaskState>;
  /** `running` while a step is open. */
  state(): RunState;
  /**
   * What the run results in: null unless it has succeeded. A reference that finds nothing is null, for there is nothing left that could fail.
   * @param template default: the results of the steps that no other refers to or comes after, by key
   */
  result(template?: unknown): unknown;
};

/** A step or an element with its place in the graph. */
type Node = {
  readonly key: string;
  readonly step: Step;
  readonly plan: StepPlan;
  /** Of an element: with the element in it. */
  readonly input: unknown;
  readonly children: { readonly node: Node; readonly optional: boolean }[];
  state: TaskState;
  pendingParents: number;
  failedParents: number;
  skippedParents: number;
  result: unknown;
  error: TaskError | null;
  /** Of a mapped step that has begun. */
  elements: readonly Node[] | null;
  /** What the elements had resulted in when the step ended. */
  list: readonly unknown[] | null;
};

/** @param steps parents before their children */
export function startRun(steps: readonly PlannedStep[]): RunInMemory {
  const nodes = new Map<string, Node>();
  const queued = new Set<string>();
  const over: string[] = [];
  const counts = { succeeded: 0, failed: 0, cancelled: 0, skipped: 0 } satisfies Record<TerminalState, number>;
  let cancelReason: "requested" | "deadline" | null = null;

  for (const { step, parents, refers } of steps) {
    const node = newNode(step.key, step, planOf(step, refers), step.input ?? null);
    nodes.set(step.key, node);
    node.pendingParents = parents.length;
    for (const { key, optional } of parents) known(key).children.push({ node, optional });
    if (parents.length === 0) queue(node);
  }

  function known(key: string): Node {
    const node = nodes.get(key);
    if (node === undefined) throw new Error(`expected a step of this run before those that need it, got ${key}`);
    return node;
  }

  function inState(key: string, ...states: readonly TaskState[]): Node {
    const node = known(key);
    if (states.includes(node.state)) return node;
    throw new Error(`expected step ${key} to be ${states.join(" or ")}, it is ${node.state}`);
  }

  function queue(node: Node): void {
    node.state = "queued";
    queued.add(node.key);
  }

  /** The end of a node, and the ends that follow from it, level by level. */
  function finish(first: Node, end: Ending): void {
    close(first, end);
    const ended = [first];
    for (const parent of ended) {
      for (const { node, optional } of parent.children) {
        if (node.state !== "blocked") continue;
        node.pendingParents--;
        if (!optional && (parent.state === "failed" || parent.state === "cancelled")) node.failedParents++;
        if (!optional && parent.state === "skipped") node.skippedParents++;
        if (node.pendingParents > 0) continue;
        const decision = decide(node);
        if (decision === null) {
          queue(node);
          continue;
        }
        close(node, decision);
        ended.push(node);
      }
    }
  }

  function close(node: Node, end: Ending): void {
    queued.delete(node.key);
    node.state = end.kind;
    if (end.kind === "succeeded") node.result = end.result;
    if (end.kind === "failed" || end.kind === "cancelled") node.error = end.error;
    if (node.elements !== null) node.list = node.elements.map(({ result }) => result);
    counts[end.kind]++;
    over.push(node.key);
  }

  function begin(key: string): Begun {
    const node = inState(key, "queued");
    const start = startOf(node.plan, node.input, parentOf);
    queued.delete(key);
    switch (start.kind) {
      case "run":
        node.state = "running";
        return { kind: "running", step: node.step, input: start.input };
      case "expand":
        return { kind: "expanded", elements: expand(node, start.inputs, start.refer) };
      case "skip":
        finish(node, { kind: "skipped" });
        return { kind: "skipped" };
      case "fail":
        finish(node, { kind: "failed", error: start.error });
        return { kind: "failed", error: start.error };
    }
  }

  function expand(node: Node, inputs: readonly unknown[], refer: boolean): string[] {
    const elements = inputs.map((input, index) => {
      const element = newNode(elementKey(node.key, index), node.step, refer ? { refers: true } : {}, input);
      element.children.push({ node, optional: false });
      nodes.set(element.key, element);
      return element;
    });
    node.elements = elements;
    node.state = "blocked";
    node.pendingParents = elements.length;
    // What counts from here on are its elements.
    node.failedParents = 0;
    node.skippedParents = 0;
    for (const element of elements) queue(element);
    if (elements.length === 0) finish(node, { kind: "succeeded", result: null });
    return elements.map((element) => element.key);
  }

  function end(key: string, end: StepEnd): void {
    const node = end.kind === "cancelled" ? inState(key, "blocked", "queued", "running") : inState(key, "running");
    const obeyed = end.kind === "failed" && cancelReason !== null;
    finish(node, obeyed ? { kind: "cancelled", error: end.error } : end);
  }

  function cancel(reason: "requested" | "deadline"): void {
    cancelReason ??= reason;
    const notBegun = [...nodes.values()].filter(({ state }) => state === "blocked" || state === "queued");
    for (const node of notBegun) close(node, { kind: "cancelled", error: CANCELLED });
  }

  function parentOf(key: string): ParentResult | undefined {
    const node = nodes.get(key);
    return node === undefined ? undefined : { succeeded: node.state === "succeeded", result: resultOf(node) };
  }

  function state(): RunState {
    if (over.length < nodes.size) return "running";
    if (cancelReason === "deadline") return "failed";
    if (cancelReason !== null && counts.cancelled > 0) return "cancelled";
    if (counts.failed > 0) return "failed";
    return counts.cancelled > 0 ? "cancelled" : "succeeded";
  }

  function result(template?: unknown): unknown {
    if (state() !== "succeeded") return null;
    if (template !== undefined) {
      return fill(template, { ref: ({ step, path }) => partOf(parentOf(step), path) ?? null });
    }
    const last = steps.map(({ step }) => known(step.key)).filter(({ children }) => children.length === 0);
    return Object.fromEntries(last.map((node) => [node.key, resultOf(node)]));
  }

  return {
    queued,
    over,
    begin,
    end,
    cancel,
    get(key) {
      const { state, result, error } = known(key);
      return { state, result, error };
    },
    elementsOf: (key) => known(key).elements?.length ?? null,
    states: () => new Map([...nodes.values()].map((node) => [node.key, node.state])),
    state,
    result,
  };
}

type Ending = StepEnd | { readonly kind: "skipped" };

const PARENT_FAILED: TaskError = {
  code: "parent_failed",
  type: "Cancelled",
  message: "A step that this one needs did not succeed.",
};
const CANCELLED: TaskError = { code: "cancelled", type: "Cancelled", message: "The run was cancelled." };

/** For a step whose parents are all over. Null: it may start. */
function decide(node: Node): Ending | null {
  const { step, elements, failedParents, skippedParents } = node;
  if (elements !== null) {
    if (failedParents === 0) return { kind: "succeeded", result: null };
    const message = `${failedParents} of ${elements.length} elements did not succeed.`;
    return { kind: "failed", error: { code: "elements_failed", type: "ElementsFailed", message } };
  }
  if (step.on_parent_failure === "run") return null;
  if (failedParents > 0) {
    return step.on_parent_failure === "cancel" ? { kind: "cancelled", error: PARENT_FAILED } : { kind: "skipped" };
  }
  return skippedParents > 0 ? { kind: "skipped" } : null;
}

/** What a reference to it finds. In what did not succeed that is nothing, but for the elements of a mapped step that did. */
function resultOf({ result, elements, list }: Node): unknown {
  return elements === null ? result : list;
}

/** The input is a template where the step refers to others or has a map, else a value. */
function planOf({ when, map }: Step, refers: boolean): StepPlan {
  return {
    ...((refers || map !== undefined) && { refers: true }),
    ...(when !== undefined && { when }),
    ...(map !== undefined && { map }),
  };
}

function newNode(key: string, step: Step, plan: StepPlan, input: unknown): Node {
  return {
    key,
    step,
    plan,
    input,
    children: [],
    state: "blocked",
    pendingParents: 0,
    failedParents: 0,
    skippedParents: 0,
    result: null,
    error: null,
    elements: null,
    list: null,
  };
}
