import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  fill,
  fillInput,
  holds,
  nodesOf,
  part,
  referencesOf,
  replaceNodes,
  TemplateError,
} from "../../runtime/model/template.ts";

const ALL = { ref: () => 1, input: 2, item: { value: 3, index: 4 } };

function refusalOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof TemplateError) return `${error.at}: ${error.message}`;
    throw error;
  }
  throw new Error("expected it to be refused");
}

describe("a reference", () => {
  test("names a step and a path in its result, split at dots or as a list", () => {
    expect(referencesOf([{ $ref: "a" }, { x: { $ref: "b.c.0" } }, { $ref: ["d", "e.f"], optional: true }])).toEqual([
      { step: "a", path: [], optional: false },
      { step: "b", path: ["c", "0"], optional: false },
      { step: "d", path: ["e.f"], optional: true },
    ]);
  });

  test("is told with the path where it stands", () => {
    expect(nodesOf({ a: [1, { $item: "x" }], b: { $index: true }, c: { $input: "" } })).toEqual([
      { at: ["a", "1"], node: { kind: "item", path: ["x"], optional: false } },
      { at: ["b"], node: { kind: "index" } },
      { at: ["c"], node: { kind: "input", path: [], optional: false } },
    ]);
  });

  test.each<[unknown, string]>([
    [{ a: { $ref: "" } }, 'a: expected the key of a step in $ref, got ""'],
    [{ $input: 5 }, ': expected a path such as "a.b" in $input, got 5'],
    [{ a: [{ $ref: "b", else: 1, more: 2 }] }, "a.0: expected nothing beside $ref, got else, more"],
    [
      { $own: 1 },
      ': expected $ref, $input, $item, $index or $literal, got $own. Write {"$literal": …} around a value of your own',
    ],
  ])("in %j is refused", (template, message) => {
    expect(refusalOf(() => nodesOf(template))).toBe(message);
    expect(refusalOf(() => fill(template, ALL))).toBe(message);
  });

  test("in too deep a template is refused, not followed", () => {
    let deep: unknown = { $ref: "a" };
    for (let level = 0; level < 300; level++) deep = [deep];
    expect(refusalOf(() => nodesOf(deep))).toMatch(/expected less nesting$/);
    expect(refusalOf(() => fill(deep, ALL))).toMatch(/expected less nesting$/);
  });
});

describe("filling", () => {
  test("puts values in place of all that is known", () => {
    const template = { r: { $ref: "a" }, i: [{ $input: "" }], e: { $item: "" }, p: { $index: true }, plain: null };
    expect(fill(template, ALL)).toEqual({ r: 1, i: [2], e: 3, p: 4, plain: null });
  });

  test("gives null for an optional reference that finds nothing, and refuses another", () => {
    const sources = { ref: () => undefined, input: { a: 1 }, item: { value: [], index: 0 } };
    const optional = [{ $ref: "a.b" }, { $input: "b" }, { $item: "0" }].map((node) => ({ ...node, optional: true }));
    expect(fill(optional, sources)).toEqual([null, null, null]);
    expect(refusalOf(() => fill({ x: { $ref: "a.b" } }, sources))).toBe(
      "x: expected b in the result of step a, there is none",
    );
    expect(refusalOf(() => fill({ $input: "b.c" }, sources))).toBe(": expected b.c in the run's input, there is none");
    expect(refusalOf(() => fill([{ $item: "" }], { item: { value: undefined, index: 0 } }))).toBe(
      "0: expected a value in the element, there is none",
    );
  });

  test("takes literals as they stand, and keeps them where something is left to fill in", () => {
    const literal = { $literal: { $ref: "x" } };
    expect(fill({ a: literal, b: { $input: "" } }, { input: { $item: "y" } })).toEqual({
      a: { $ref: "x" },
      b: { $item: "y" },
    });
    expect(fill({ a: literal, b: { $input: "" }, c: { $ref: "z" } }, { input: { $item: "y" } })).toEqual({
      a: literal,
      b: { $literal: { $item: "y" } },
      c: { $ref: "z" },
    });
  });

  test("with the run's input leaves a template, which fills to the same as at once", () => {
    const templates = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue().map((value) => ({ $literal: value })),
        fc.constantFrom({ $input: "" }, { $input: "a", optional: true }, { $ref: "s" }, 1, "x", null),
        fc.array(tie("node"), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom("a", "b", "__proto__"), tie("node")),
      ),
    })).node;
    fc.assert(
      fc.property(templates, fc.jsonValue(), fc.jsonValue(), (template, input, result) => {
        const ref = () => result;
        expect(fill(fillInput(template, input), { ref })).toEqual(fill(template, { ref, input }));
      }),
    );
  });

  test("keeps a field called __proto__ a field", () => {
    const filled = fill(JSON.parse('{"__proto__": {"$input": ""}}'), { input: 7 });
    expect(JSON.stringify(filled)).toBe('{"__proto__":7}');
  });
});

test("nodes are replaced with what they are, where they stand and how they are written", () => {
  const told: unknown[] = [];
  replaceNodes({ a: [{ $item: "x" }] }, (node, at, written) => told.push([node.kind, at, written]));
  expect(told).toEqual([["item", ["a", "0"], { $item: "x" }]]);
});

describe("a part", () => {
  test.each<[unknown, string[], unknown]>([
    [{ a: [{ b: 1 }] }, ["a", "0", "b"], 1],
    [{ a: null }, ["a"], null],
    [5, [], 5],
    [{ a: 1 }, ["b"], undefined],
    [{}, ["constructor"], undefined],
    [[1, 2], ["length"], undefined],
    ["abc", ["0"], undefined],
    [null, ["a"], undefined],
  ])("of %j at %j is %j", (value, path, found) => {
    expect(part(value, path)).toEqual(found);
  });
});

describe("a condition", () => {
  test("without a comparison holds for what is true, not zero and not empty", () => {
    expect([true, 1, "a", [], {}].map((value) => holds({}, value))).toEqual([true, true, true, true, true]);
    expect([false, 0, "", null, undefined].map((value) => holds({}, value))).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  test("compares with a scalar, null among them", () => {
    expect(holds({ equals: "a" }, "a")).toBe(true);
    expect(holds({ equals: 1 }, "1")).toBe(false);
    expect(holds({ equals: null }, null)).toBe(true);
    expect(holds({ not_equals: null }, 0)).toBe(true);
    expect(holds({ not_equals: 0 }, 0)).toBe(false);
  });
});
