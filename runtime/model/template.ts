/**
 * References in JSON: `{"$ref": "step.path.to.0.field"}` is a part of a step's result, `{"$input": "path"}` of the run's input, `{"$item": "path"}`
 * of the element of a mapped step, `{"$index": true}` its place in the list. `{"$ref": …, "optional": true}` is null where there is nothing.
 * `{"$literal": value}` is the value as it stands, whatever is in it. A path of names is split at dots; a name with a dot in it is written as a
 * list: `{"$ref": ["step", "a.b"]}`. An empty path is the whole.
 */

export type Reference = { readonly step: string; readonly path: readonly string[]; readonly optional: boolean };

/** Where a template's values come from. Each is asked only where the template refers to it; one that is absent stays in the template. */
export type Sources = {
  /** A part of a step's result; `undefined`: there is none. */
  readonly ref?: (reference: Reference) => unknown;
  readonly input?: unknown;
  readonly item?: { readonly value: unknown; readonly index: number };
};

/** A template that refers to what is not there, or whose references are not written right. `at` is the path in the template. */
export class TemplateError extends Error {
  readonly at: string;

  constructor(at: string, message: string) {
    super(message);
    this.at = at;
  }
}

/** A node of a template that is not plain JSON. */
export type Node =
  | { readonly kind: "ref"; readonly reference: Reference }
  | { readonly kind: "input"; readonly path: readonly string[]; readonly optional: boolean }
  | { readonly kind: "item"; readonly path: readonly string[]; readonly optional: boolean }
  | { readonly kind: "index" }
  | { readonly kind: "literal"; readonly value: unknown };

/** Deeper values are refused by whoever encodes them. */
const MAX_DEPTH = 200;
const OWN = { enumerable: true, configurable: true, writable: true };
const MARKERS = new Set(["$ref", "$input", "$item", "$index", "$literal"]);
const EXTRA = new Set(["optional", "equals", "not_equals"]);

/** Every node with the path where it stands, in the order of the text. @throws TemplateError */
export function nodesOf(template: unknown): { readonly at: readonly string[]; readonly node: Node }[] {
  const found: { at: readonly string[]; node: Node }[] = [];
  const walk = (value: unknown, at: readonly string[]): void => {
    if (typeof value !== "object" || value === null) return;
    if (at.length > MAX_DEPTH) throw new TemplateError(at.slice(0, 10).join("."), "expected less nesting");
    const node = nodeAt(value, at);
    if (node !== null) return void found.push({ at, node });
    for (const [key, entry] of Object.entries(value)) walk(entry, [...at, key]);
  };
  walk(template, []);
  return found;
}

/** The references to steps. @throws TemplateError */
export function referencesOf(template: unknown): Reference[] {
  return nodesOf(template).flatMap(({ node }) => (node.kind === "ref" ? [node.reference] : []));
}

/**
 * The template with what these sources know in place of its nodes. Where nodes stay, literals stay as well.
 * @throws TemplateError where a reference that is not optional finds nothing
 */
export function fill(template: unknown, sources: Sources): unknown {
  const stays = nodesOf(template).some(({ node }) => !isKnown(node, sources));
  return filled(template, sources, stays);
}

/**
 * The template with the run's input in place of `$input`. What comes out is a template still, whatever is left in it: a later `fill` takes the
 * run's values, and literals, as they stand.
 * @throws TemplateError where a reference to the run's input that is not optional finds nothing
 */
export function fillInput(template: unknown, input: unknown): unknown {
  return filled(template, { input }, true);
}

function filled(template: unknown, sources: Sources, stays: boolean): unknown {
  return replaceNodes(template, (node, at, written) => {
    if (!isKnown(node, sources)) return written;
    if (node.kind === "literal") return stays ? written : node.value;
    const known = valueFor(node, sources, at);
    return stays ? literal(known) : known;
  });
}

/** The template with something else in place of each node, which is also given as it is written. @throws TemplateError */
export function replaceNodes(
  template: unknown,
  replace: (node: Node, at: readonly string[], written: object) => unknown,
): unknown {
  const walk = (value: unknown, at: readonly string[]): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if (at.length > MAX_DEPTH) throw new TemplateError(at.slice(0, 10).join("."), "expected less nesting");
    const node = nodeAt(value, at);
    if (node !== null) return replace(node, at, value);
    // Most of what stands in a template is a scalar, for which no path is made.
    const part = (entry: unknown, name: string | number) =>
      typeof entry === "object" && entry !== null ? walk(entry, [...at, String(name)]) : entry;
    if (Array.isArray(value)) return value.map(part);
    const copy: Record<string, unknown> = {};
    for (const [key, entry] of Object.entries(value)) {
      // Written like the others it would be the prototype.
      if (key === "__proto__") Object.defineProperty(copy, key, { ...OWN, value: part(entry, key) });
      else copy[key] = part(entry, key);
    }
    return copy;
  };
  return walk(template, []);
}

/** The value so that a later `fill` takes it as it stands. */
function literal(value: unknown): unknown {
  return typeof value === "object" && value !== null ? { $literal: value } : value;
}

function isKnown(node: Node, sources: Sources): boolean {
  if (node.kind === "ref") return sources.ref !== undefined;
  if (node.kind === "input") return "input" in sources;
  if (node.kind === "item" || node.kind === "index") return sources.item !== undefined;
  return true;
}

function valueFor(node: Node, sources: Sources, at: readonly string[]): unknown {
  switch (node.kind) {
    case "literal":
      return node.value;
    case "index":
      return sources.item?.index;
    case "ref":
      return present(
        sources.ref?.(node.reference),
        node.reference.optional,
        at,
        `step ${node.reference.step}`,
        node.reference.path,
      );
    case "input":
      return present(part(sources.input, node.path), node.optional, at, "the run's input", node.path);
    case "item":
      return present(part(sources.item?.value, node.path), node.optional, at, "the element", node.path);
  }
}

function present(
  value: unknown,
  optional: boolean,
  at: readonly string[],
  where: string,
  path: readonly string[],
): unknown {
  if (value !== undefined) return value;
  if (optional) return null;
  const what = path.length === 0 ? "a value" : path.join(".");
  throw new TemplateError(
    at.join("."),
    `expected ${what} in the result of ${where}, there is none`.replace("in the result of the", "in the"),
  );
}

/** What stands at a path: own properties and places in lists only. `undefined`: nothing. */
export function part(value: unknown, path: readonly string[]): unknown {
  let found: unknown = value;
  for (const name of path) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) return undefined;
    if (Array.isArray(found) && !/^\d+$/.test(name)) return undefined;
    found = (found as Record<string, unknown>)[name]; // It has this own property.
  }
  return found;
}

function markerOf(fields: Readonly<Record<string, unknown>>): string | undefined {
  // Not by `Object.keys`: this is asked for each object in each template of a graph.
  for (const key in fields) if (key.startsWith("$")) return key;
  return undefined;
}

/** Null: an object or a list like any other. */
function nodeAt(value: object, at: readonly string[]): Node | null {
  if (Array.isArray(value)) return null;
  const fields = value as Record<string, unknown>; // A plain object of JSON.
  const marker = markerOf(fields);
  if (marker === undefined) return null;
  if (!MARKERS.has(marker)) {
    throw new TemplateError(
      at.join("."),
      `expected $ref, $input, $item, $index or $literal, got ${marker}. Write {"$literal": …} around a value of your own`,
    );
  }
  const others = Object.keys(fields).filter((key) => key !== marker);
  if (others.some((key) => !EXTRA.has(key))) {
    throw new TemplateError(at.join("."), `expected nothing beside ${marker}, got ${others.join(", ")}`);
  }
  const optional = fields.optional === true;
  const target = fields[marker];
  switch (marker) {
    case "$literal":
      return { kind: "literal", value: target };
    case "$index":
      return { kind: "index" };
    case "$ref": {
      const path = pathOf(target, marker, at);
      const [step] = path;
      if (step === undefined) throw new TemplateError(at.join("."), 'expected the key of a step in $ref, got ""');
      return { kind: "ref", reference: { step, path: path.slice(1), optional } };
    }
    default:
      return { kind: marker === "$input" ? "input" : "item", path: pathOf(target, marker, at), optional };
  }
}

function pathOf(target: unknown, marker: string, at: readonly string[]): readonly string[] {
  if (typeof target === "string") return target === "" ? [] : target.split(".");
  if (Array.isArray(target) && target.every((name) => typeof name === "string")) return target;
  throw new TemplateError(
    at.join("."),
    `expected a path such as "a.b" in ${marker}, got ${JSON.stringify(target)?.slice(0, 80)}`,
  );
}

/** Whether a condition holds for the value at its reference. */
export function holds(
  condition: { readonly equals?: unknown; readonly not_equals?: unknown },
  value: unknown,
): boolean {
  if ("equals" in condition) return value === condition.equals;
  if ("not_equals" in condition) return value !== condition.not_equals;
  return Boolean(value);
}
