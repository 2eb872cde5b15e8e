/**
 * The JSON schema of an input as a form can show it. The schemas come from zod: what they say beyond what the form library knows (tuples of draft
 * 2020-12, two types at once, the bounds of every integer in JavaScript) is put in older words or left out. What comes out of the form is checked by
 * the API in any case.
 */

export type JsonSchema = Readonly<Record<string, unknown>>;

/** Null: there is nothing to make a form of, so the input is written as JSON. */
export function formSchemaOf(schema: unknown): JsonSchema | null {
  if (!isObject(schema) || schema.type !== "object") return null;
  const hasFields = isObject(schema.properties) && Object.keys(schema.properties).length > 0;
  // Names with values of one kind; values of any kind are better written as JSON.
  const hasNames = isObject(schema.additionalProperties) && Object.keys(schema.additionalProperties).length > 0;
  return hasFields || hasNames ? simplified(schema) : null;
}

/** It is an object without fields: there is nothing to fill in. */
export function isEmptyInput(schema: unknown): boolean {
  if (!isObject(schema) || schema.type !== "object" || schema.additionalProperties !== false) return false;
  return !isObject(schema.properties) || Object.keys(schema.properties).length === 0;
}

/** What a form starts with where nothing is given: the default of the whole, or an object for the form to fill. */
export function startValueOf(schema: unknown): unknown {
  return isObject(schema) && schema.default !== undefined ? schema.default : {};
}

/** Schemas inside schemas: by name, in a list, or alone. */
const MAPS = new Set(["properties", "$defs", "definitions", "patternProperties"]);
const LISTS = new Set(["anyOf", "oneOf", "allOf"]);

function simplified(schema: JsonSchema): JsonSchema {
  const plain = Object.fromEntries(
    Object.entries(schema).flatMap(([name, value]): [string, unknown][] => {
      if (isAnyInteger(name, value) || name === "$schema" || name === "propertyNames") return [];
      if (MAPS.has(name) && isObject(value)) {
        return [[name, Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inside(inner)]))]];
      }
      if (LISTS.has(name) && Array.isArray(value)) return [[name, value.map(inside)]];
      return [[name, inside(value)]];
    }),
  );
  return typesOf(tupleOf(plain));
}

function inside(value: unknown): unknown {
  return isObject(value) ? simplified(value) : value;
}

/** Zod says of each integer that JavaScript can hold it. */
function isAnyInteger(name: string, value: unknown): boolean {
  return (
    (name === "minimum" && value === Number.MIN_SAFE_INTEGER) ||
    (name === "maximum" && value === Number.MAX_SAFE_INTEGER)
  );
}

/** `prefixItems` was called `items` before, and what comes after them `additionalItems`. */
function tupleOf({ prefixItems, items, ...rest }: JsonSchema): JsonSchema {
  if (!Array.isArray(prefixItems)) return items === undefined ? rest : { ...rest, items };
  return { ...rest, items: prefixItems.map(inside), additionalItems: items ?? false };
}

/** One of several types is chosen like one of several schemas; null beside one type is a field that may be empty. */
function typesOf({ type, ...rest }: JsonSchema): JsonSchema {
  if (!Array.isArray(type)) return type === undefined ? rest : { ...rest, type };
  const others = type.filter((one) => one !== "null");
  if (others.length <= 1) return { ...rest, type };
  return { ...rest, anyOf: type.map((one) => ({ type: one, title: String(one) })) };
}

function isObject(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
