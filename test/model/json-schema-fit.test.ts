import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { alternativesAt, alternativesOf, inWords, isNeverList, misfitOf } from "../../runtime/model/json-schema-fit.ts";

const of = (schema: z.ZodType, io: "input" | "output" = "output") => {
  const document = z.toJSONSchema(schema, { io, unrepresentable: "any", metadata: z.registry() });
  return alternativesOf({ root: document, node: document });
};

const misfit = (given: z.ZodType, wanted: z.ZodType) => {
  const found = misfitOf(of(given), of(wanted, "input"));
  return found === null ? null : `${[...found.path, ""].join(".")} expected ${found.expected}, got ${found.got}`;
};

type Tree = { name: string; children: Tree[] };
const TREE: z.ZodType<Tree> = z.object({ name: z.string(), children: z.lazy(() => z.array(TREE)) });

describe("a value may fit", () => {
  test.each<[string, z.ZodType, z.ZodType]>([
    ["one of its type", z.string(), z.string().min(3).regex(/x/)],
    ["an integer for a number", z.int(), z.number()],
    ["a number for an integer", z.number(), z.int()],
    ["anything", z.string(), z.unknown()],
    ["when nothing is known of it", z.unknown(), z.string()],
    ["one way of several", z.union([z.string(), z.null()]), z.string()],
    ["one of several", z.string(), z.union([z.int(), z.string(), z.boolean()])],
    ["a value that it may be", z.enum(["a", "b"]), z.enum(["b", "c"])],
    ["one value of a type", z.string(), z.literal("a")],
    ["an object with more", z.object({ a: z.string(), b: z.int() }), z.object({ a: z.string() })],
    ["fields that may be missing", z.object({ a: z.string().optional() }), z.object({ a: z.string() })],
    ["fields that may be there", z.looseObject({}), z.object({ a: z.string() })],
    ["wrong, but optional on both sides", z.object({ a: z.int().optional() }), z.object({ a: z.string().optional() })],
    ["a record", z.record(z.string(), z.int()), z.object({ a: z.number() })],
    ["in a tuple", z.tuple([z.string(), z.int()]), z.array(z.int())],
    ["what comes from code", z.string().transform((text) => text.length), z.boolean()],
    ["itself, in itself", TREE, TREE],
  ])("%s", (_, given, wanted) => {
    expect(misfit(given, wanted)).toBeNull();
  });
});

describe("a value can never fit", () => {
  test.each<[string, z.ZodType, z.ZodType, string]>([
    ["another type", z.string(), z.number(), " expected a number, got a string"],
    [
      "null where it is not taken",
      z.null(),
      z.union([z.string(), z.int()]),
      " expected a string or an integer, got null",
    ],
    ["other values", z.enum(["a", "b"]), z.literal("c"), ' expected "c", got "a" or "b"'],
    [
      "many other values",
      z.enum(Array.from({ length: 12 }, (_, place) => `v${place}`) as [string]),
      z.int(),
      ' expected an integer, got "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9" or 2 more',
    ],
    [
      "a field of another type",
      z.object({ a: z.int() }),
      z.object({ a: z.string() }),
      "a. expected a string, got an integer",
    ],
    ["without a field", z.object({ b: z.int() }), z.object({ a: z.string() }), "a. expected a string, got nothing"],
    ["with a field too many", z.object({ b: z.int() }), z.strictObject({}), "b. expected no such field, got one"],
    [
      "an optional field of another type",
      z.object({ a: z.int() }),
      z.object({ a: z.string().optional() }),
      "a. expected a string, got an integer",
    ],
    [
      "a list of others",
      z.array(z.object({ a: z.int() })),
      z.array(z.object({ a: z.string() })),
      "0.a. expected a string, got an integer",
    ],
    [
      "any of several ways",
      z.object({ a: z.int() }),
      z.union([z.string(), z.strictObject({})]),
      " expected a string or an object, got an object",
    ],
    [
      "deep in itself",
      TREE,
      z.object({ children: z.array(z.object({ name: z.int() })) }),
      "children.0.name. expected an integer, got a string",
    ],
  ])("%s", (_, given, wanted, message) => {
    expect(misfit(given, wanted)).toBe(message);
  });
});

test("a value that a schema takes is never said not to fit it", () => {
  const scalar = fc.constantFrom<z.ZodType>(
    z.string(),
    z.int(),
    z.number(),
    z.boolean(),
    z.null(),
    z.literal("a"),
    z.unknown(),
  );
  const schemas = fc.letrec<{ node: z.ZodType }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      scalar,
      tie("node").map((one) => z.array(one)),
      fc.array(tie("node"), { minLength: 1, maxLength: 3 }).map((options) => z.union(options)),
      fc
        .dictionary(fc.constantFrom("a", "b"), fc.tuple(tie("node"), fc.boolean()))
        .map((fields) =>
          z.strictObject(
            Object.fromEntries(Object.entries(fields).map(([name, [one, may]]) => [name, may ? one.optional() : one])),
          ),
        ),
    ),
  })).node;
  const values = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom<unknown>("a", "b", 1, 1.5, true, null),
      // Of a list nothing but its elements is compared: an empty one is left out.
      fc.array(tie("node"), { minLength: 1, maxLength: 2 }),
      fc.dictionary(fc.constantFrom("a", "b"), tie("node")),
    ),
  })).node;
  fc.assert(
    fc.property(schemas, schemas, values, (given, wanted, value) => {
      fc.pre(given.safeParse(value).success && wanted.safeParse(value).success);
      expect(misfit(given, wanted)).toBeNull();
    }),
    { numRuns: 500 },
  );
});

describe("a path", () => {
  const RESULT = z.object({
    files: z.array(z.object({ path: z.string() })),
    by: z.record(z.string(), z.int()),
    pair: z.tuple([z.string(), z.int()]),
    either: z.union([z.object({ a: z.string() }), z.object({ b: z.int() })]),
    may: z.object({ a: z.string() }).nullable(),
    tree: TREE,
    open: z.looseObject({ a: z.string() }),
  });

  test.each<[string, string | null]>([
    ["files.3.path", "a string"],
    ["by.any", "an integer"],
    ["pair.1", "an integer"],
    ["either.b", "an integer"],
    ["may.a", "a string"],
    ["tree.children.0.children.1.name", "a string"],
    ["open.a", "a string"],
    ["open.b.c", null],
  ])("%s leads somewhere", (path, words) => {
    const found = alternativesAt(of(RESULT), path.split("."));
    if (found.kind === "missing") throw new Error(found.expected);
    expect(found.alternatives && inWords(found.alternatives)).toBe(words);
  });

  test.each<[string, number, string]>([
    ["fils", 0, "files, by, pair, either, may, tree or open"],
    ["files.path", 1, "a place in the list, such as 0"],
    ["files.0.paths", 2, "path"],
    ["files.0.path.0", 3, "nothing inside of a string"],
    ["by.any.x", 2, "nothing inside of an integer"],
    ["either.c", 1, "a or b"],
    ["tree.children.0.nam", 3, "name or children"],
  ])("%s leads nowhere", (path, place, expected) => {
    expect(alternativesAt(of(RESULT), path.split("."))).toEqual({ kind: "missing", place, expected });
  });
});

test("a list is ruled out only where every way is something else", () => {
  expect(isNeverList(of(z.union([z.string(), z.null()])))).toBe(true);
  expect(isNeverList(of(z.union([z.string(), z.array(z.int())])))).toBe(false);
  expect(isNeverList(of(z.unknown()))).toBe(false);
});
