import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { asciiJson, memberTexts, nestsDeeperThan } from "../../runtime/wire/json-text.ts";
import { exactJson } from "./exact-json.ts";

const names = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("__proto__", "constructor", 'a"b', "\\", "", "{", "}"),
);
const object = fc.dictionary(names, fc.jsonValue({ maxDepth: 3 }));

describe("members of an object as text", () => {
  it("keeps the text of every value as it stands", () => {
    const text = ' { "a" : 1.0 ,"b":-0.0,\t"c":[1, {"d": "]}\\"" }],"e":"x\\\\","f":18446744073709551616,"g":null\n} ';
    expect([...memberTexts(text)]).toEqual([
      ["a", "1.0"],
      ["b", "-0.0"],
      ["c", '[1, {"d": "]}\\"" }]'],
      ["e", '"x\\\\"'],
      ["f", "18446744073709551616"],
      ["g", "null"],
    ]);
  });

  it("takes the last of a repeated name, also when its spelling differs", () => {
    expect(memberTexts('{"args":[1],"\\u0061rgs":[2]}').get("args")).toBe("[2]");
  });

  it("finds nothing in an empty object", () => {
    expect(memberTexts("{}").size).toBe(0);
    expect(memberTexts(" {\n} ").size).toBe(0);
  });

  it("agrees with JSON.parse on any object, however it is laid out", () => {
    fc.assert(
      fc.property(object, fc.constantFrom("", " ", "\t", "\r\n"), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const members = Array.from(memberTexts(text), ([name, member]) => [name, exactJson(member)]);
        expect(Object.fromEntries(members)).toEqual(exactJson(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it("does not recurse", () => {
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    expect(memberTexts(`{"a":${deep}}`).get("a")).toBe(deep);
  });
});

describe("nesting", () => {
  it("counts arrays and objects, and no brackets in strings", () => {
    expect(nestsDeeperThan('[{"a":[]}]', 3)).toBe(false);
    expect(nestsDeeperThan('[{"a":[]}]', 2)).toBe(true);
    expect(nestsDeeperThan('[[],[],"[[[[\\"[["]', 2)).toBe(false);
    expect(nestsDeeperThan("1", 0)).toBe(false);
  });
});

describe("JSON in ASCII", () => {
  it("writes everything above U+007E as an escape, and the value stays", () => {
    const text = JSON.stringify({ "\u00e9": "\u{1f680}\ud800\uffff\ufffe\u007f~" });
    expect(asciiJson(text)).toBe('{"\\u00e9":"\\ud83d\\ude80\\ud800\\uffff\\ufffe\\u007f~"}');
    expect(JSON.parse(asciiJson(text))).toEqual(JSON.parse(text));
  });
});
