/**
 * What is wrong with a graph, by step and path, and its steps in the order of the work where nothing is. The shape, that is which fields there are
 * and of which types, is known to be right (define/graph-schema.ts).
 *
 * References to the run's input are filled in first: it is there, so nothing of it is left for later.
 */

import { GRAPH_LIMITS, type Graph, type PlannedStep, type Step } from "./graph.ts";
import { checkBounds, checkDeadline, checkKey, checkSize } from "./graph-bounds.ts";
import { orderSteps } from "./graph-order.ts";
import { createReferenceCheck, type ReferenceCheck } from "./graph-references.ts";
import { readSlot, type Slot } from "./graph-slot.ts";
import type { GraphIssue, TaskShape, TaskShapes } from "./task-shape.ts";
import { part, replaceNodes, type Sources } from "./template.ts";

export type { GraphIssue, TaskShapes };

export type Plan =
  | {
      readonly kind: "planned";
      /** Parents before children, else as in the graph. The input of a step is a template where it `refers` or has a `map`, else a value. */
      readonly steps: readonly PlannedStep[];
      /** With the run's input in it; templates still, so that it can be planned again. */
      readonly graph: Graph;
    }
  | { readonly kind: "invalid"; readonly issues: readonly GraphIssue[] };

/** @param input the run's */
export function planGraph(graph: Graph, input: unknown, tasks: TaskShapes): Plan {
  const { issues, readings, order, result } = examine(graph, { input }, tasks);
  if (issues.length > 0) return { kind: "invalid", issues };
  const byKey = new Map(readings.map((reading) => [reading.step.key, reading.planned]));
  return {
    kind: "planned",
    steps: order.flatMap((key) => byKey.get(key) ?? []),
    graph: {
      ...graph,
      steps: readings.map(({ step }) => step),
      ...(result !== null && { result: result.template }),
    },
  };
}

/** What is wrong with a graph whatever a run's input will be: at most 100 issues, none where there is nothing. */
export function checkGraph(graph: Graph, tasks: TaskShapes): readonly GraphIssue[] {
  return examine(graph, {}, tasks).issues;
}

const MAX_ISSUES = 100;
const MAX_NAMES = 20;
const MAX_CYCLE_KEYS = 30;

/** Without the slots it was made from: of ten thousand steps they would be most of what is kept. */
type Reading = {
  /** With the run's input in its templates. */
  readonly step: Step;
  readonly planned: PlannedStep;
};

type Examined = {
  readonly issues: readonly GraphIssue[];
  readonly readings: readonly Reading[];
  readonly order: readonly string[];
  readonly result: Slot | null;
};

type Report = (path: string, message: string) => void;

function examine(graph: Graph, sources: Pick<Sources, "input">, tasks: TaskShapes): Examined {
  const issues: GraphIssue[] = [];
  const report: Report = (path, message) => {
    if (issues.length < MAX_ISSUES) issues.push({ path, message });
  };
  if (!checkSize(graph, report)) return { issues, readings: [], order: [], result: null };

  const steps = stepsByKey(graph, report);
  const references = createReferenceCheck(steps, tasks);
  const readings: Reading[] = [];
  for (const step of steps.values()) {
    if (issues.length >= MAX_ISSUES) break;
    const at: Report = (path, message) =>
      report(path === "" ? `steps.${step.key}` : `steps.${step.key}.${path}`, message);
    checkKey(step.key, at);
    checkBounds(step, at);
    readings.push(readStep(step, sources, tasks, references, at));
  }

  const edges = readings.reduce((sum, { planned }) => sum + planned.parents.length, 0);
  if (edges > GRAPH_LIMITS.edges) report("steps", `expected at most ${GRAPH_LIMITS.edges} edges, got ${edges}`);
  const parents = new Map(readings.map(({ step, planned }) => [step.key, planned.parents.map(({ key }) => key)]));
  const { keys: order, cycles } = orderSteps([...steps.keys()], parents);
  for (const cycle of cycles) report(`steps.${cycle[0]}`, `expected no cycle, got ${cycleInWords(cycle)}`);
  const result = graph.result === undefined ? null : readResult(graph.result, sources, references, report);
  checkDeadline(graph, report);
  checkFinisher(graph, tasks, report);
  return { issues, readings, order, result };
}

function stepsByKey({ steps }: Graph, report: Report): ReadonlyMap<string, Step> {
  const found = new Map<string, Step>();
  for (const step of steps) {
    if (!found.has(step.key)) found.set(step.key, step);
    else report(`steps.${step.key}.key`, "expected a key that no other step has");
  }
  return found;
}

function readStep(
  step: Step,
  sources: Pick<Sources, "input">,
  tasks: TaskShapes,
  references: ReferenceCheck,
  report: Report,
): Reading {
  const shape = tasks.get(step.task);
  if (shape === undefined) report("task", unknownTask(step.task, tasks));
  const slot = (field: "input" | "map" | "when") =>
    step[field] === undefined
      ? null
      : readSlot(step[field], sources, (at, message) => report(joined(field, at), message));
  const [input, map, when] = [slot("input"), slot("map"), slot("when")];

  const parents = new Map<string, boolean>();
  const wait = (key: string, optional: boolean) => parents.set(key, (parents.get(key) ?? true) && optional);
  let refers = false;
  const look = (field: "input" | "map" | "when", slot: Slot | null) => {
    for (const { at, node } of slot?.unknown ?? []) {
      const problem =
        (node.kind === "item" || node.kind === "index") && (field !== "input" || step.map === undefined)
          ? `expected $${node.kind} in the input of a step with map`
          : references.problemOf(node, { step, field, at, map });
      if (problem !== null) report([field, ...at].join("."), problem);
      if (node.kind !== "ref") continue;
      refers = true;
      const { step: key, optional } = node.reference;
      if (references.has(key) && key !== step.key) wait(key, optional && field === "input");
    }
  };
  look("input", input);
  look("map", map);
  look("when", when);
  for (const [place, key] of (step.after ?? []).entries()) {
    const problem = references.problemOfKey(key, step);
    if (problem === null) wait(key, false);
    else report(`after.${place}`, problem);
  }

  if (map !== null) checkMap(map, report);
  if (shape !== undefined) checkInputs(step, shape, input, map, report);
  const filled = withTemplates(step, input, map);
  const isValue = !refers && step.map === undefined && input !== null;
  return {
    step: filled,
    planned: {
      step: isValue ? { ...step, input: input.value } : filled,
      parents: [...parents].map(([key, optional]) => ({ key, optional })),
      refers,
    },
  };
}

function withTemplates(step: Step, input: Slot | null, map: Slot | null): Step {
  if ((input?.template ?? step.input) === step.input && (map?.template ?? step.map) === step.map) return step;
  return { ...step, ...(input !== null && { input: input.template }), ...(map !== null && { map: map.template }) };
}

function checkMap({ value, unknown }: Slot, report: Report): void {
  // Known only with its producer, whose schema the reference check has looked at.
  if (unknown.some(({ at }) => at.length === 0)) return;
  if (!Array.isArray(value)) report("map", `expected a list, got ${wordFor(value)}`);
  else if (value.length > GRAPH_LIMITS.elements) {
    report("map", `expected at most ${GRAPH_LIMITS.elements} elements, got ${value.length}`);
  }
}

/** By the task's schema: of a step over a list that is known, for one element after the other. */
function checkInputs(step: Step, shape: TaskShape, input: Slot | null, map: Slot | null, report: Report): void {
  if (step.input !== undefined && input === null) return;
  const unknown = input?.unknown ?? [];
  const ofElement = unknown.filter(({ node }) => node.kind === "item" || node.kind === "index");
  const isListKnown = map !== null && map.unknown.length === 0 && Array.isArray(map.value);
  if (input === null || ofElement.length === 0 || !isListKnown) {
    const paths = unknown.map(({ at }) => at);
    for (const { path, message } of shape.checkInput(input?.value, paths)) report(joined("input", path), message);
    return;
  }
  const others = unknown.flatMap(({ at, node }) => (node.kind === "item" || node.kind === "index" ? [] : [at]));
  // As many elements as are known to be a list, which `isListKnown` says.
  const list = map.value as readonly unknown[];
  for (const [index, element] of list.entries()) {
    const issues: GraphIssue[] = [];
    const value = replaceNodes(input.template, (node, at) => {
      if (node.kind === "literal") return node.value;
      if (node.kind === "index") return index;
      if (node.kind !== "item") return undefined;
      const found = part(element, node.path);
      if (found !== undefined || node.optional) return found ?? null;
      issues.push({
        path: at.join("."),
        message: `expected ${node.path.length === 0 ? "a value" : node.path.join(".")} in the element, there is none`,
      });
      return undefined;
    });
    if (issues.length === 0) issues.push(...shape.checkInput(value, others));
    for (const { path, message } of issues) report(joined("input", path), `${message}, at element ${index} of map`);
    // One says what is wrong; a list of a thousand would hide the rest.
    if (issues.length > 0) return;
  }
}

function readResult(
  template: unknown,
  sources: Pick<Sources, "input">,
  references: ReferenceCheck,
  report: Report,
): Slot | null {
  const slot = readSlot(template, sources, (at, message) => report(joined("result", at), message));
  for (const { at, node } of slot?.unknown ?? []) {
    const problem =
      node.kind === "item" || node.kind === "index"
        ? `expected $${node.kind} in the input of a step with map`
        : references.problemOf(node, null);
    if (problem !== null) report(["result", ...at].join("."), problem);
  }
  return slot;
}

function checkFinisher({ on_finished: finisher }: Graph, tasks: TaskShapes, report: Report): void {
  if (finisher === undefined || tasks.get(finisher.task) !== undefined) return;
  report("on_finished.task", unknownTask(finisher.task, tasks));
}

function unknownTask(name: string, tasks: TaskShapes): string {
  const names = tasks.names();
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : "";
  const known = names.length === 0 ? "none" : `${names.slice(0, MAX_NAMES).join(", ")}${more}`;
  return `expected the name of a task, got ${JSON.stringify(name.slice(0, 100))}. Known here: ${known}`;
}

function cycleInWords(cycle: readonly string[]): string {
  const keys = [...cycle, ...cycle.slice(0, 1)];
  const left = keys.length - MAX_CYCLE_KEYS;
  const told =
    left <= 0 ? keys : [...keys.slice(0, MAX_CYCLE_KEYS / 2), `${left} more`, ...keys.slice(-MAX_CYCLE_KEYS / 2)];
  return told.join(" → ");
}

function wordFor(value: unknown): string {
  if (value === null || value === undefined) return "null";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function joined(field: string, path: string): string {
  return path === "" ? field : `${field}.${path}`;
}
