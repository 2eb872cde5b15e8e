/**
 * What two JSON schemas say for certain: that a path leads nowhere, that a value of the one can never be one of the other. Everything that is not
 * certain counts as possible: a refusal here stops a run that may be right.
 */

/** A part of a document; `$ref` in it is looked up in `root`. */
export type Schema = { readonly root: unknown; readonly node: unknown };

/** What may stand somewhere, by its type; unions are taken apart. Null: anything. */
export type Alternatives = readonly Alternative[] | null;

type Fields = Readonly<Record<string, unknown>>;
type Alternative = { readonly root: unknown; readonly type: string; readonly fields: Fields };

/** `path`: where, inside of what was compared. */
export type Misfit = { readonly path: readonly string[]; readonly expected: string; readonly got: string };

export type Found =
  | { readonly kind: "found"; readonly alternatives: Alternatives }
  /** Nothing can be at `path[place]`; `expected` is what can. */
  | { readonly kind: "missing"; readonly place: number; readonly expected: string };

const MAX_NESTING = 8;
const MAX_NAMES = 10;

export function alternativesOf({ root, node }: Schema, nesting = 0): Alternatives {
  if (!isFields(node) || nesting > MAX_NESTING) return null;
  if (typeof node.$ref === "string") return alternativesOf({ root, node: lookedUp(root, node.$ref) }, nesting + 1);
  const union = node.anyOf ?? node.oneOf;
  if (Array.isArray(union)) {
    const each = union.map((one: unknown) => alternativesOf({ root, node: one }, nesting + 1));
    const known = each.filter((one) => one !== null);
    return known.length < each.length ? null : known.flat();
  }
  if ("allOf" in node || "not" in node) return null;
  const types = typesOf(node);
  return types?.map((type) => ({ root, type, fields: node })) ?? null;
}

/** What may be at a path of what may be here. */
export function alternativesAt(start: Alternatives, path: readonly string[]): Found {
  let here = start;
  for (const [place, name] of path.entries()) {
    if (here === null) break;
    const parts = here.map((alternative) => partOf(alternative, name));
    const possible = parts.filter((part) => part !== "none");
    if (possible.length === 0) return { kind: "missing", place, expected: partsInWords(here) };
    const known = possible.filter((part) => part !== null);
    here = known.length < possible.length ? null : known.flat();
  }
  return { kind: "found", alternatives: here };
}

/** Null where some value may fit. */
export function misfitOf(given: Alternatives, wanted: Alternatives, nesting = 0): Misfit | null {
  if (given === null || wanted === null || given.length === 0 || wanted.length === 0 || nesting > MAX_NESTING)
    return null;
  let inside: Misfit | null = null;
  for (const one of given) {
    for (const other of wanted) {
      if (!areOneType(one.type, other.type)) continue;
      const misfit = misfitOfType(one, other, nesting);
      if (misfit === null) return null;
      inside ??= misfit;
    }
  }
  // What is wrong inside says most, where there is but one way to fit.
  if (inside !== null && given.length === 1 && wanted.length === 1) return inside;
  return { path: [], expected: inWords(wanted), got: inWords(given) };
}

/** Every value here is something else than a list. */
export function isNeverList(alternatives: Alternatives): boolean {
  return alternatives !== null && alternatives.length > 0 && alternatives.every(({ type }) => type !== "array");
}

export function inWords(alternatives: readonly Alternative[]): string {
  const words = alternatives.flatMap(({ type, fields }) => {
    const values = valuesOf(fields);
    if (type === "null") return ["null"];
    return values === null ? [WORDS[type] ?? type] : values.map((value) => JSON.stringify(value));
  });
  return listed([...new Set(words)]);
}

const WORDS: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  integer: "an integer",
  boolean: "a boolean",
  array: "a list",
  object: "an object",
};

function listed(words: readonly string[]): string {
  const told = words.slice(0, MAX_NAMES);
  if (told.length < words.length) return `${told.join(", ")} or ${words.length - told.length} more`;
  return told.length < 2 ? told.join("") : `${told.slice(0, -1).join(", ")} or ${told.at(-1)}`;
}

/** Both are of one type. */
function misfitOfType(given: Alternative, wanted: Alternative, nesting: number): Misfit | null {
  if (given.fields === wanted.fields) return null;
  const [values, allowed] = [valuesOf(given.fields), valuesOf(wanted.fields)];
  if (values !== null && allowed !== null && !values.some((value) => allowed.includes(value))) {
    return { path: [], expected: inWords([wanted]), got: inWords([given]) };
  }
  if (given.type === "array") {
    // An empty list would fit, but nobody passes on a list that is always empty.
    return within("0", misfitOf(elementsOf(given), elementsOf(wanted), nesting + 1));
  }
  return given.type === "object" ? misfitOfFields(given, wanted, nesting) : null;
}

function misfitOfFields(given: Alternative, wanted: Alternative, nesting: number): Misfit | null {
  const needed = requiredOf(wanted);
  for (const name of new Set([...needed, ...requiredOf(given)])) {
    const [present, place] = [partOf(given, name), partOf(wanted, name)];
    if (place === "none") return { path: [name], expected: "no such field", got: "one" };
    if (present === "none")
      return { path: [name], expected: place === null ? "a value" : inWords(place), got: "nothing" };
    const misfit = within(name, misfitOf(present, place, nesting + 1));
    if (misfit !== null) return misfit;
  }
  return null;
}

function within(name: string, misfit: Misfit | null): Misfit | null {
  return misfit === null ? null : { ...misfit, path: [name, ...misfit.path] };
}

/** What may stand under a name: `none` where nothing can. */
function partOf({ root, type, fields }: Alternative, name: string): Alternatives | "none" {
  if (type === "array") {
    if (!/^\d+$/.test(name)) return "none";
    const first = Array.isArray(fields.prefixItems) ? fields.prefixItems : [];
    return alternativesOf({ root, node: first[Number(name)] ?? fields.items });
  }
  if (type !== "object") return "none";
  if (isFields(fields.properties) && Object.hasOwn(fields.properties, name)) {
    return alternativesOf({ root, node: fields.properties[name] });
  }
  if (fields.patternProperties !== undefined) return null;
  return fields.additionalProperties === false ? "none" : alternativesOf({ root, node: fields.additionalProperties });
}

function elementsOf({ root, fields }: Alternative): Alternatives {
  return fields.prefixItems === undefined ? alternativesOf({ root, node: fields.items }) : null;
}

function requiredOf({ fields }: Alternative): readonly string[] {
  return Array.isArray(fields.required) ? fields.required.filter((name) => typeof name === "string") : [];
}

function partsInWords(alternatives: readonly Alternative[]): string {
  if (alternatives.some(({ type }) => type === "array")) return "a place in the list, such as 0";
  const names = alternatives.flatMap(({ fields }) =>
    isFields(fields.properties) ? Object.keys(fields.properties) : [],
  );
  return names.length === 0 ? `nothing inside of ${inWords(alternatives)}` : listed([...new Set(names)]);
}

function typesOf(fields: Fields): readonly string[] | null {
  const values = valuesOf(fields);
  if (values !== null) return [...new Set(values.map(typeOfScalar))];
  if (typeof fields.type === "string") return [fields.type];
  if (Array.isArray(fields.type)) return fields.type.filter((type) => typeof type === "string");
  return null;
}

/** The scalars that alone are possible, or null. */
function valuesOf(fields: Fields): readonly unknown[] | null {
  const values: unknown = "const" in fields ? [fields.const] : fields.enum;
  if (!Array.isArray(values) || values.some((value) => typeof value === "object" && value !== null)) return null;
  return values;
}

function typeOfScalar(value: unknown): string {
  return value === null ? "null" : typeof value;
}

function areOneType(one: string, other: string): boolean {
  const isNumber = (type: string) => type === "number" || type === "integer";
  return one === other || (isNumber(one) && isNumber(other));
}

/** A part of the document by a pointer such as `#/$defs/file`. `undefined`: there is none. */
function lookedUp(root: unknown, pointer: string): unknown {
  if (!pointer.startsWith("#")) return undefined;
  let found: unknown = root;
  for (const name of pointer.split("/").slice(1)) {
    const key = name.replaceAll("~1", "/").replaceAll("~0", "~");
    if (!isFields(found) || !Object.hasOwn(found, key)) return undefined;
    found = found[key];
  }
  return found;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
