/** Values with references in them, as `build` of a job gives them, as templates of the graph. */

import { TaskiqError } from "../errors.ts";
import { inWords, isRef, type Source, sourceOf } from "./reference.ts";

/** Where the value stands. `key`: in the input of this mapped step, where there is an element; null: elsewhere. */
export type Writing = { readonly job: object; readonly at: string; readonly key: string | null };

/** @throws TaskiqError `definition_invalid` for what is not JSON, and for references that mean nothing here */
export function templateOf(value: unknown, writing: Writing): unknown {
  if (typeof value === "object" && value !== null) {
    if (isRef(value)) return written(sourceOf(value), writing);
    if (Array.isArray(value)) return value.map((entry, place) => templateOf(entry, within(writing, String(place))));
    if ("toJSON" in value && typeof value.toJSON === "function") return templateOf(value.toJSON(), writing);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return objectTemplate(value, writing);
    throw refused(writing, `expected JSON or a reference, got ${value.constructor.name}`);
  }
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw refused(writing, `expected JSON or a reference, got ${typeof value === "number" ? value : typeof value}`);
}

function objectTemplate(value: object, writing: Writing): unknown {
  const given = Object.entries(value).filter(([, entry]) => entry !== undefined);
  const fields = Object.fromEntries(given.map(([name, entry]) => [name, templateOf(entry, within(writing, name))]));
  // It would be taken for a reference.
  const name = Object.keys(fields).find((one) => one.startsWith("$"));
  if (name === undefined) return fields;
  if (given.some(([, entry]) => holdsRef(entry))) {
    throw refused(writing, `expected no name that starts with $ beside references, got ${name}`);
  }
  return { $literal: Object.fromEntries(given) };
}

function holdsRef(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return isRef(value) || Object.values(value).some(holdsRef);
}

function written(source: Source, writing: Writing): object {
  if (source.job !== writing.job) {
    throw refused(writing, `expected a reference of this job, got ${inWords(source)} of another`);
  }
  if ((source.kind === "item" || source.kind === "index") && source.key !== writing.key) {
    throw refused(writing, `expected an element of this step, got one of ${source.key}`);
  }
  const optional = source.optional && { optional: true };
  switch (source.kind) {
    case "step":
      return { $ref: pathOf([source.key, ...source.path]), ...optional };
    case "input":
      return { $input: pathOf(source.path), ...optional };
    case "item":
      return { $item: pathOf(source.path), ...optional };
    case "index":
      return { $index: true };
  }
}

export function pathOf(names: readonly string[]): string | readonly string[] {
  return names.some((name) => name === "" || name.includes(".")) ? names : names.join(".");
}

function within({ at, ...rest }: Writing, name: string): Writing {
  return { ...rest, at: `${at}.${name}` };
}

function refused({ at }: Writing, message: string): TaskiqError {
  return new TaskiqError("definition_invalid", `${at}: ${message}.`);
}
