/**
 * What is to be done with a step whose parents are over: look at its condition, then run it or expand its map, with what its references stand for.
 * Asked by whoever starts it. Nothing here depends on when that is: whoever asks gets the same answer.
 */

import { GRAPH_LIMITS, type StepPlan } from "./graph.ts";
import type { TaskError } from "./task.ts";
import { fill, holds, nodesOf, part, type Reference, TemplateError } from "./template.ts";

export type StepStart =
  | { readonly kind: "run"; readonly input: unknown }
  /** One input for each element of the list. `refer`: they are templates with references to steps in them, else values. */
  | { readonly kind: "expand"; readonly inputs: readonly unknown[]; readonly refer: boolean }
  /** Its condition does not hold. */
  | { readonly kind: "skip" }
  /** No other attempt can find what this one has not found. */
  | { readonly kind: "fail"; readonly error: TaskError };

/** How a step ended that another refers to. `result` of a mapped step: the list of those of its elements, null for one that did not succeed. */
export type ParentResult = { readonly succeeded: boolean; readonly result: unknown };

/** What a step starts with. `plan.refers`: `input` is a template. */
export function startOf(plan: StepPlan, input: unknown, parent: (key: string) => ParentResult | undefined): StepStart {
  const ref = ({ step, path }: Reference) => partOf(parent(step), path);
  let reading = "when";
  try {
    if (plan.when !== undefined && !holds(plan.when, fill(plan.when, { ref }))) return { kind: "skip" };
    if (plan.map === undefined) {
      reading = "input";
      return { kind: "run", input: plan.refers ? fill(input, { ref }) : input };
    }
    reading = "map";
    const list = fill(plan.map, { ref });
    if (!Array.isArray(list)) throw new TemplateError("", `expected a list, got ${wordFor(list)}`);
    if (list.length > GRAPH_LIMITS.elements) {
      throw new TemplateError("", `expected at most ${GRAPH_LIMITS.elements} elements, got ${list.length}`);
    }
    reading = "input";
    return {
      kind: "expand",
      inputs: plan.refers ? list.map((value, index) => fill(input, { item: { value, index } })) : list.map(() => input),
      refer: plan.refers === true && nodesOf(input).some(({ node }) => node.kind === "ref"),
    };
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    const at = error.at === "" ? reading : `${reading}.${error.at}`;
    return {
      kind: "fail",
      error: { code: "reference_invalid", type: "ReferenceInvalid", message: `${at}: ${error.message}.` },
    };
  }
}

/**
 * What a reference finds; `undefined`: nothing, where there should be something. In a step that did not succeed there is nothing to be had, so
 * that null stands for it: only those refer to it that can do without.
 */
export function partOf(parent: ParentResult | undefined, path: readonly string[]): unknown {
  const found = parent === undefined ? undefined : part(parent.result, path);
  return found === undefined && parent?.succeeded === false ? null : found;
}

function wordFor(value: unknown): string {
  if (value === null) return "null";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
