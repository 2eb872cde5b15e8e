import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { shapesOf } from "../../runtime/define/task-shape.ts";

function shapeOf(input: z.ZodType, output?: z.ZodType) {
  const task = defineTask({ name: "t", input, ...(output && { output }), run: () => null });
  const shape = shapesOf(createRegistry([task])).get("t");
  if (shape === undefined) throw new Error("expected a shape");
  return shape;
}

const at = (path: string) => (path === "" ? [] : path.split("."));

const UNION = z.object({ way: z.union([z.object({ s3: z.string() }), z.object({ file: z.string() })]), n: z.int() });

describe("an input with unknown places", () => {
  test.each<[string, z.ZodType, unknown, string[], string[]]>([
    ["at the place itself", z.object({ a: z.string() }), { a: undefined }, ["a"], []],
    ["inside of the place", z.object({ a: z.object({ b: z.string() }) }), { a: undefined }, ["a"], []],
    ["when it is all unknown", z.string(), undefined, [""], []],
    ["in a union around the place", UNION, { way: { s3: undefined }, n: 1 }, ["way.s3"], []],
    [
      "in a union told by the place",
      z.discriminatedUnion("k", [z.object({ k: z.literal("a") }), z.object({ k: z.literal("b"), n: z.int() })]),
      { k: undefined },
      ["k"],
      [],
    ],
    [
      "by code of the author's, which may have looked at it",
      z
        .object({ a: z.string().optional(), b: z.int() })
        .refine(({ a }) => a !== undefined, { path: ["b"], error: "a" }),
      { a: undefined, b: 1 },
      ["a"],
      [],
    ],
    [
      "where code of the author's cannot do without it",
      z.preprocess((value) => ({ size: (value as { list: unknown[] }).list.length }), z.object({ size: z.int() })),
      { list: undefined },
      ["list"],
      [],
    ],
    ["in a list that is shorter than it may be", z.array(z.string()).min(2), [undefined], ["0"], ["Too small"]],
    ["beside the place", z.object({ a: z.string(), ab: z.string() }), { a: undefined, ab: 1 }, ["a"], ["ab"]],
    ["beside a union with the place", UNION, { way: { s3: undefined }, n: 0.5 }, ["way.s3"], ["n"]],
    ["in a field too many, whatever comes", z.strictObject({ a: z.int() }), { a: 1, b: undefined }, ["b"], ["b"]],
    ["in a field too many that is known", z.strictObject({ a: z.string() }), { a: undefined, b: 1 }, ["a"], ["b"]],
    ["around the place", z.object({ a: z.string() }), { a: { b: undefined } }, ["a.b"], ["a"]],
  ])("is judged %s", (_, schema, value, unknown, issues) => {
    const found = shapeOf(schema).checkInput(value, unknown.map(at));
    expect(found.map(({ path, message }) => path || message.slice(0, 9))).toEqual(issues);
  });
});

test("an input that is right is never refused for what is not known of it", () => {
  const schemas = fc.letrec<{ node: z.ZodType }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom<z.ZodType>(
        z.string(),
        z.int(),
        z.boolean().nullable(),
        z.literal("a"),
        z.json(),
        z.string().refine((text) => text.length < 3),
      ),
      tie("node").map((one) => z.array(one)),
      tie("node").map((one) => z.record(z.string(), one)),
      fc.tuple(tie("node"), tie("node")).map(([one, other]) => z.union([one, other])),
      fc.tuple(tie("node"), tie("node")).map(([one, other]) => z.strictObject({ a: one, b: other.optional() })),
      fc
        .tuple(tie("node"), tie("node"))
        .map(([one, other]) => z.looseObject({ a: one }).and(z.looseObject({ b: other }))),
    ),
  })).node;
  const values = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom<unknown>("a", "bc", 1, true, null),
      fc.array(tie("node"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom("a", "b"), tie("node")),
    ),
  })).node;
  fc.assert(
    fc.property(schemas, values, fc.array(fc.nat()), (schema, value, picks) => {
      fc.pre(schema.safeParse(value).success);
      const paths = pathsOf(value, []);
      const unknown = picks.map((pick) => paths[pick % paths.length] ?? []);
      expect(shapeOf(schema).checkInput(without(value, unknown, []), unknown)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

function pathsOf(value: unknown, at: readonly string[]): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([name, entry]) => pathsOf(entry, [...at, name]))];
}

function without(value: unknown, paths: readonly (readonly string[])[], at: readonly string[]): unknown {
  if (paths.some((path) => path.join(".") === at.join("."))) return undefined;
  if (Array.isArray(value)) return value.map((entry, place) => without(entry, paths, [...at, String(place)]));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, without(entry, paths, [...at, name])]));
}

describe("an input without unknown places", () => {
  test("is judged as when it is submitted", () => {
    const schema = z.object({ a: z.string().refine((text) => text !== "x", "expected no x") });
    expect(shapeOf(schema).checkInput({ a: "x" }, [])).toEqual([{ path: "a", message: "expected no x" }]);
    expect(shapeOf(schema).checkInput({ a: "y" }, [])).toEqual([]);
  });

  test("that code of the author's cannot read is that error", () => {
    const schema = z.preprocess((value) => (value as { list: unknown[] }).list.length, z.int());
    expect(() => shapeOf(schema).checkInput({}, [])).toThrow(TypeError);
  });
});

describe("the schemas of a task", () => {
  test("are what goes in, and what comes out where the task says it", () => {
    const { inputSchema, outputSchema } = shapeOf(z.object({ n: z.int().default(1) }), z.object({ m: z.string() }));
    expect(inputSchema).not.toHaveProperty("required");
    expect(outputSchema).toMatchObject({ required: ["m"], additionalProperties: false });
    expect(shapeOf(z.unknown()).outputSchema).toBeNull();
  });

  test("say nothing of what JSON schemas cannot say", () => {
    expect(shapeOf(z.object({ at: z.date() })).inputSchema).toMatchObject({ properties: { at: {} } });
  });

  test("may have one id as those of another task", () => {
    const shapes = shapesOf(
      createRegistry([
        defineTask({ name: "a", input: z.object({ x: z.string().meta({ id: "shared" }) }), run: () => null }),
        defineTask({ name: "b", input: z.object({ x: z.int().meta({ id: "shared2" }) }), run: () => null }),
      ]),
    );
    expect(shapes.get("a")?.inputSchema).toMatchObject({ properties: { x: { type: "string" } } });
    expect(shapes.get("b")?.inputSchema).toMatchObject({ properties: { x: { type: "integer" } } });
  });

  test("are made once", () => {
    const shapes = shapesOf(createRegistry([defineTask({ name: "a", input: z.string(), run: () => null })]));
    expect(shapes.get("a")?.inputSchema).toBe(shapes.get("a")?.inputSchema);
    expect(shapes.get("b")).toBeUndefined();
    expect(shapes.names()).toEqual(["a"]);
  });
});
