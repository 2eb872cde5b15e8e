/**
 * Checks a form against its schema. The usual validator of the form library compiles schemas to code, which the content security policy of the page
 * forbids; this one reads them.
 */
import { type OutputUnit, type Schema, Validator } from "@cfworker/json-schema";
import {
  type ErrorSchema,
  ErrorSchemaBuilder,
  type RJSFSchema,
  type RJSFValidationError,
  type ValidatorType,
} from "@rjsf/utils";

/** What says only that something below is wrong, which says so itself. */
const OUTER = new Set(["properties", "items", "prefixItems", "additionalProperties", "allOf", "$ref", "if", "then"]);

/** Of any form: what is in it is not known. */
export function createFormValidator<T>(): ValidatorType<T> {
  // In the words that form-schema.ts uses.
  // Both libraries mean JSON schema by their types, and differ in what may be left out.
  const check = (schema: RJSFSchema, data: unknown) => new Validator(schema as Schema, "2019-09", false).validate(data);
  return {
    validateFormData(formData, schema) {
      const { errors } = check(schema, formData);
      const places = errors.filter(({ keyword }) => !OUTER.has(keyword)).map(placeOf);
      const tree = new ErrorSchemaBuilder<T>();
      for (const { path, message } of places) tree.addErrors(message, [...path]);
      return { errors: places.map(errorOf), errorSchema: tree.ErrorSchema };
    },
    isValid(schema, formData, rootSchema) {
      try {
        const definitions = { $defs: rootSchema.$defs, definitions: rootSchema.definitions };
        return check({ ...definitions, ...schema }, formData).valid;
      } catch {
        // A schema with a reference that leads nowhere fits nothing.
        return false;
      }
    },
    rawValidation: <Result>(schema: RJSFSchema, formData?: T) => ({
      // The form asks for what its validator finds, whatever that is.
      errors: check(schema, formData).errors as Result[],
    }),
  };
}

/** What the API says of an input, where it lies in the form. Paths begin inside the input; an empty one is the whole. */
export function errorSchemaOf(issues: readonly { readonly path: string; readonly message: string }[]): ErrorSchema {
  const tree = new ErrorSchemaBuilder();
  for (const { path, message } of issues) tree.addErrors(message, path === "" ? [] : path.split("."));
  return tree.ErrorSchema;
}

type Place = { readonly keyword: string; readonly path: readonly string[]; readonly message: string };

function placeOf({ keyword, instanceLocation, error }: OutputUnit): Place {
  const parts = instanceLocation.replace(/^#\/?/, "").split("/");
  const path = parts.filter((part) => part !== "").map(unescaped);
  // It is told of the object that lacks the field; the form shows it at the field.
  const missing = keyword === "required" ? /property "(.*)"\.$/.exec(error)?.[1] : undefined;
  if (missing !== undefined) return { keyword, path: [...path, missing], message: "expected a value, got none" };
  return { keyword, path, message: error.replace(/\.$/, "").replace(/^Instance/, "the value") };
}

function errorOf({ keyword, path, message }: Place): RJSFValidationError {
  return { name: keyword, message, property: `.${path.join(".")}`, stack: `${path.join(".")}: ${message}` };
}

function unescaped(part: string): string {
  return decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
}
