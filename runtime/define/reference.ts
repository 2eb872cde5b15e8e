/**
 * References of a job under definition: each stands for a value that is there when the job runs, typed as that value, and is written as a part of a
 * template. Its fields are references in turn, whatever their names: what can be done with a reference is in functions beside, not in methods.
 */

import { inspect } from "node:util";
import { TaskiqError } from "../errors.ts";

/** Never there; it keeps references of different types apart. */
declare const STANDS_FOR: unique symbol;

/** Stands for a `T` of the run. Give it to steps, take its fields; it is no `T` yet, so nothing else can be done with it. */
export type Ref<T> = { readonly [STANDS_FOR]: { readonly type: T } } & Fields<T>;

/** Of a value that may be null or absent the fields may be absent: `optional` makes them null. */
type Fields<T> = [NonNullable<T>] extends [never]
  ? unknown
  : Part<NonNullable<T>, [Extract<T, null | undefined>] extends [never] ? never : undefined>;

type Part<T, Absent> = T extends readonly (infer Element)[]
  ? { readonly [place: number]: Ref<Element | Absent> }
  : T extends object
    ? { readonly [Name in keyof T]-?: Ref<T[Name] | Absent> }
    : unknown;

/** What a step can be given for a `T`: the value, a reference to one, or an object or a list with references in it. */
export type Template<T> = unknown extends T ? unknown : Ref<Exclude<T, undefined>> | Literal<T>;

type Literal<T> = T extends readonly unknown[]
  ? { readonly [Place in keyof T]: Template<T[Place]> }
  : T extends object
    ? // A reference is no object with any fields.
      { readonly [Name in keyof T]: Template<T[Name]> } & { readonly [STANDS_FOR]?: never }
    : T;

/** What becomes of a value that goes through JSON, as results do. Nothing is readonly in it, so that it fits either way. */
export type Json<T> = unknown extends T
  ? T
  : T extends { toJSON(): infer Written }
    ? Written
    : T extends void // Undefined, too: a handler without a result.
      ? null
      : T extends readonly unknown[]
        ? { -readonly [Place in keyof T]: Json<T[Place]> }
        : T extends object
          ? {
              -readonly [Name in keyof T]: undefined extends T[Name]
                ? Json<Exclude<T[Name], undefined>> | undefined
                : Json<T[Name]>;
            }
          : T;

/** Null where there is nothing: the step does not wait for its success, and a field may be missing. */
export function optional<T>(reference: Ref<T>): Ref<Exclude<T, undefined> | null> {
  // The same reference, of another type.
  return createRef({ ...sourceOf(reference), optional: true }) as Ref<Exclude<T, undefined> | null>;
}

/** A condition for `when`: the value is this one. */
export function equals<T extends Scalar>(reference: Ref<T>, value: NoInfer<T>): JobCondition {
  return { reference, equals: value };
}

/** A condition for `when`: the value is another one. */
export function notEquals<T extends Scalar>(reference: Ref<T>, value: NoInfer<T>): JobCondition {
  return { reference, not_equals: value };
}

type Scalar = string | number | boolean | null | undefined;

export type JobCondition = {
  readonly reference: Ref<unknown>;
  readonly equals?: Scalar;
  readonly not_equals?: Scalar;
};

/** What a reference stands for. `job`: an identity, for references do not go from one job to another. */
export type Source = { readonly job: object; readonly path: readonly string[]; readonly optional: boolean } & (
  | { readonly kind: "step"; readonly key: string }
  | { readonly kind: "input" }
  /** Of the element of the step with this key. */
  | { readonly kind: "item" | "index"; readonly key: string }
);

const SOURCES = new WeakMap<object, Source>();

export function createRef(source: Source): Ref<unknown> {
  const proxy = new Proxy(Object.freeze({}), {
    get(_, name) {
      if (typeof name === "string") return createRef({ ...source, path: [...source.path, name] });
      // `${reference}` and reference + 1.
      if (name === Symbol.toPrimitive) throw misused(source);
      return undefined;
    },
    // { ...reference } and Object.keys(reference).
    ownKeys() {
      throw misused(source);
    },
  });
  SOURCES.set(proxy, source);
  // Its type is what the caller says it stands for.
  return proxy as Ref<unknown>;
}

export function isRef(value: unknown): value is Ref<unknown> {
  return typeof value === "object" && value !== null && SOURCES.has(value);
}

/** @throws TaskiqError `definition_invalid` for what is no reference */
export function sourceOf(reference: unknown): Source {
  const source = isRef(reference) ? SOURCES.get(reference) : undefined;
  if (source !== undefined) return source;
  throw new TaskiqError(
    "definition_invalid",
    `expected a reference, such as what job.step returns, got ${inspect(reference, { depth: 0 }).slice(0, 80)}.`,
  );
}

/** As in messages, and as in a template where no name has a dot in it. */
export function inWords(source: Source): string {
  const whole = source.kind === "step" ? source.key : source.kind;
  return [whole, ...source.path].join(".");
}

function misused(source: Source): TaskiqError {
  return new TaskiqError(
    "definition_invalid",
    `expected the reference ${inWords(source)} to be given to a step as it is, got code that reads its value, which is there only when the job runs. Name the fields of it that you want, or do it in a task.`,
  );
}
