/** Whether what a template refers to can be there, and can be what stands in its place: by the steps of the graph and the schemas of their tasks. */

import type { Step } from "./graph.ts";
import type { Slot } from "./graph-slot.ts";
import {
  type Alternatives,
  alternativesAt,
  alternativesOf,
  type Found,
  inWords,
  isNeverList,
  type Misfit,
  misfitOf,
} from "./json-schema-fit.ts";
import type { TaskShapes } from "./task-shape.ts";
import type { Node, Reference } from "./template.ts";

/** Where a node stands: in `field` of a step. */
export type Place = {
  readonly step: Step;
  readonly field: string;
  readonly at: readonly string[];
  readonly map: Slot | null;
};

export type ReferenceCheck = {
  has(key: string): boolean;
  problemOfKey(key: string, step: Step | null): string | null;
  /** `place` null: in the result of the run, where anything may stand. */
  problemOf(node: Node, place: Place | null): string | null;
};

const MAX_NAMES = 20;
const INTEGER: Alternatives = alternativesOf({ root: null, node: { type: "integer" } });

export function createReferenceCheck(steps: ReadonlyMap<string, Step>, tasks: TaskShapes): ReferenceCheck {
  // Ten thousand steps are of a few tasks and refer to a few places: what the schemas say of these is worked out once.
  const results = new Map<string, Alternatives>();
  const inputs = new Map<string, Alternatives>();
  const places = new Map<Alternatives, Map<string, Found>>();
  const misfits = new Map<Alternatives, Map<Alternatives, Misfit | null>>();

  function problemOfKey(key: string, step: Step | null): string | null {
    if (!steps.has(key)) return `expected the key of a step, got ${JSON.stringify(key.slice(0, 100))}. ${known(steps)}`;
    return key === step?.key ? `expected another step, got ${key} itself` : null;
  }

  function problemOf(node: Node, place: Place | null): string | null {
    if (node.kind === "index") return place === null ? null : misfitAt(INTEGER, place, "$index");
    if (node.kind === "item") return place === null ? null : problemOfItem(node.path, place);
    return node.kind === "ref" ? problemOfReference(node.reference, place) : null;
  }

  function problemOfReference({ step: key, path }: Reference, place: Place | null): string | null {
    const problem = problemOfKey(key, place?.step ?? null);
    if (problem !== null) return problem;
    const found = foundAt(resultOf(key), path);
    if (found.kind === "missing") return missing(`the result of ${key}`, path, found);
    if (place === null || place.field === "when") return null;
    if (place.field === "input") return misfitAt(found.alternatives, place, key, path);
    if (place.at.length > 0 || found.alternatives === null || !isNeverList(found.alternatives)) return null;
    return `expected a list, got ${inWords(found.alternatives)} from ${[key, ...path].join(".")}`;
  }

  function problemOfItem(path: readonly string[], place: Place): string | null {
    const [list, ...others] = place.map?.unknown ?? [];
    if (list?.node.kind !== "ref" || list.at.length > 0 || others.length > 0) return null;
    const { step: key, path: listPath } = list.node.reference;
    if (!steps.has(key)) return null;
    const elements = foundAt(resultOf(key), [...listPath, "0"]);
    // That it is no list has been told of `map`.
    if (elements.kind === "missing") return null;
    const found = foundAt(elements.alternatives, path);
    if (found.kind === "missing") return missing("the element", path, found);
    return misfitAt(found.alternatives, place, "$item", path);
  }

  function misfitAt(
    given: Alternatives,
    { step, at }: Place,
    from: string,
    path: readonly string[] = [],
  ): string | null {
    const wanted = foundAt(inputOf(step.task), at);
    // A field that the task does not know is told of by its own schema.
    if (given === null || wanted.kind === "missing" || wanted.alternatives === null) return null;
    const misfit = memoized(under(misfits, given), wanted.alternatives, () => misfitOf(given, wanted.alternatives));
    if (misfit === null) return null;
    const inside = misfit.path.length === 0 ? "" : ` at ${misfit.path.join(".")}`;
    return `expected ${misfit.expected}${inside}, got ${misfit.got} from ${[from, ...path].join(".")}`;
  }

  function foundAt(start: Alternatives, path: readonly string[]): Found {
    if (start === null || path.length === 0) return { kind: "found", alternatives: start };
    return memoized(under(places, start), JSON.stringify(path), () => alternativesAt(start, path));
  }

  function resultOf(key: string): Alternatives {
    const step = steps.get(key);
    if (step === undefined) return null;
    return memoized(results, step.map === undefined ? step.task : `${step.task}[]`, () => {
      const schema = tasks.get(step.task)?.outputSchema ?? null;
      return alternativesOf({
        root: schema,
        node: step.map === undefined ? schema : { type: "array", items: schema ?? {} },
      });
    });
  }

  function inputOf(task: string): Alternatives {
    return memoized(inputs, task, () => {
      const schema = tasks.get(task)?.inputSchema ?? null;
      return alternativesOf({ root: schema, node: schema });
    });
  }

  return { has: (key) => steps.has(key), problemOfKey, problemOf };
}

function missing(
  where: string,
  path: readonly string[],
  { place, expected }: { readonly place: number; readonly expected: string },
): string {
  const at = place === 0 ? "" : ` at ${path.slice(0, place).join(".")}`;
  return `expected ${expected}${at} in ${where}, got ${path[place]}`;
}

function known(steps: ReadonlyMap<string, Step>): string {
  const more = steps.size > MAX_NAMES ? ` and ${steps.size - MAX_NAMES} more` : "";
  return `Steps: ${[...steps.keys()].slice(0, MAX_NAMES).join(", ")}${more}`;
}

function memoized<Key, Value>(known: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = known.get(key);
  if (found !== undefined) return found;
  const made = make();
  known.set(key, made);
  return made;
}

function under<Outer, Key, Value>(maps: Map<Outer, Map<Key, Value>>, key: Outer): Map<Key, Value> {
  return memoized(maps, key, () => new Map<Key, Value>());
}
