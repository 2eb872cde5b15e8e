import { describe, expect, test } from "vitest";
import { z } from "zod";
import { formSchemaOf, isEmptyInput, startValueOf } from "../../../runtime/web/start/form-schema.ts";
import { createFormValidator, errorSchemaOf } from "../../../runtime/web/start/form-validator.ts";

const jsonSchema = (schema: z.ZodType) => z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });

describe("the schema of a form", () => {
  test("has the fields with their defaults and bounds, without those that every integer has", () => {
    const schema = z.strictObject({ files: z.int().min(0).default(12), seed: z.int() });
    expect(formSchemaOf(jsonSchema(schema))).toEqual({
      type: "object",
      properties: { files: { default: 12, type: "integer", minimum: 0 }, seed: { type: "integer" } },
      required: ["seed"],
      additionalProperties: false,
    });
  });

  test("keeps a field of which only the largest integer is a bound that somebody chose", () => {
    const schema = jsonSchema(z.object({ least: z.int().min(-5) }));
    expect(formSchemaOf(schema)).toMatchObject({ properties: { least: { minimum: -5 } } });
  });

  test("has tuples in the words of older drafts", () => {
    const schema = formSchemaOf(jsonSchema(z.object({ pair: z.tuple([z.string(), z.int()]) })));
    expect(schema).toMatchObject({
      properties: { pair: { items: [{ type: "string" }, { type: "integer" }], additionalItems: false } },
    });
    expect(JSON.stringify(schema)).not.toContain("prefixItems");
  });

  test("lets one of several types be chosen, and leaves null beside a type alone", () => {
    const schema = formSchemaOf(
      jsonSchema(z.object({ either: z.union([z.string(), z.number()]), maybe: z.string().nullable() })),
    );
    expect(schema).toMatchObject({
      properties: {
        either: {
          anyOf: [
            { type: "string", title: "string" },
            { type: "number", title: "number" },
          ],
        },
        maybe: { type: ["string", "null"] },
      },
    });
  });

  test("is none for what is no object, or may be any", () => {
    for (const schema of [z.unknown(), z.string(), z.array(z.string()), z.looseObject({})]) {
      expect(formSchemaOf(jsonSchema(schema))).toBeNull();
    }
    expect(formSchemaOf(jsonSchema(z.record(z.string(), z.int())))).not.toBeNull();
  });

  test("is not needed where there is nothing to fill in", () => {
    expect(isEmptyInput(jsonSchema(z.strictObject({})))).toBe(true);
    expect(isEmptyInput(jsonSchema(z.strictObject({ a: z.string() })))).toBe(false);
    expect(isEmptyInput(jsonSchema(z.unknown()))).toBe(false);
  });

  test("says what the form starts with", () => {
    expect(startValueOf(jsonSchema(z.object({ a: z.int().default(3) }).prefault({ a: 4 })))).toEqual({ a: 4 });
    expect(startValueOf({})).toEqual({});
  });
});

describe("the validator", () => {
  const validator = createFormValidator<unknown>();
  const schema = formSchemaOf(
    jsonSchema(
      z.strictObject({
        name: z.string().min(2),
        files: z.array(z.strictObject({ url: z.url() })),
        pair: z.tuple([z.string(), z.int()]).optional(),
      }),
    ),
  );

  test("finds nothing wrong with what fits", () => {
    const data = { name: "ab", files: [{ url: "https://example.com/a" }], pair: ["a", 1] };
    expect(validator.validateFormData(data, schema ?? {})).toEqual({ errors: [], errorSchema: {} });
  });

  test("tells each problem at its field, once", () => {
    const data = { name: "a", files: [{ url: "https://example.com" }, { url: 3 }, {}] };
    const { errors, errorSchema } = validator.validateFormData(data, schema ?? {});
    expect(errors.map(({ property }) => property).toSorted()).toEqual([".files.1.url", ".files.2.url", ".name"]);
    expect(errorSchema).toMatchObject({
      name: { __errors: ["String is too short (1 < 2)"] },
      files: {
        1: { url: { __errors: ['the value type "number" is invalid. Expected "string"'] } },
        2: { url: { __errors: ["expected a value, got none"] } },
      },
    });
  });

  test("knows definitions of the whole schema when it looks at a part of it", () => {
    const root = { $defs: { name: { type: "string" as const } }, type: "object" as const };
    expect(validator.isValid({ $ref: "#/$defs/name" }, "a", root)).toBe(true);
    expect(validator.isValid({ $ref: "#/$defs/name" }, 1, root)).toBe(false);
    expect(validator.isValid({ $ref: "#/$defs/gone" }, 1, root)).toBe(false);
  });

  test("needs no code made at run time", () => {
    const make = globalThis.Function;
    const refuse = () => {
      throw new EvalError("refused");
    };
    // What a content security policy without unsafe-eval does; nobody asks for the other parts of it here.
    globalThis.Function = refuse as unknown as FunctionConstructor;
    try {
      expect(validator.validateFormData({}, schema ?? {}).errors).toHaveLength(2);
    } finally {
      globalThis.Function = make;
    }
  });
});

test("issues of the API lie at the fields that their paths name", () => {
  expect(
    errorSchemaOf([
      { path: "files.0.url", message: "expected a URL" },
      { path: "", message: "expected an object" },
    ]),
  ).toEqual({ __errors: ["expected an object"], files: { 0: { url: { __errors: ["expected a URL"] } } } });
});
