/** The parts of a JSON text. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { tokensOf } from "../../../runtime/web/components/json-tokens.ts";

test("names, strings, numbers and words are told apart", () => {
  const kinds = tokensOf('{"a": "b\\"c: 1", "n": -1.5e+3, "t": true, "z": null}').filter(
    ({ kind }) => kind !== "plain",
  );
  expect(kinds.map(({ kind, text }) => [kind, text])).toEqual([
    ["name", '"a"'],
    ["string", '"b\\"c: 1"'],
    ["name", '"n"'],
    ["number", "-1.5e+3"],
    ["name", '"t"'],
    ["word", "true"],
    ["name", '"z"'],
    ["word", "null"],
  ]);
});

test("all of any value is there, in order", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json = JSON.stringify(value, null, 2);
      const tokens = tokensOf(json);
      expect(tokens.map(({ text }) => text).join("")).toBe(json);
      for (const { at, text } of tokens) expect(json.slice(at, at + text.length)).toBe(text);
    }),
  );
});

test("a text that was cut off in the middle is kept as it is", () => {
  const cut = '{"a": "unfinis';
  expect(
    tokensOf(cut)
      .map(({ text }) => text)
      .join(""),
  ).toBe(cut);
});
