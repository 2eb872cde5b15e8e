import { describe, expect, it } from "vitest";
import { encodeLabel, type Label, type LabelValue, labelsText, parseLabel } from "../../runtime/wire/label.ts";
import { golden } from "./golden.ts";

/** Python source of the recorded labels whose types JavaScript has, and the same in JavaScript. */
const SAME_IN_JAVASCRIPT: Record<string, Record<string, LabelValue>> = {
  "{'n': 7, 'zero': 0, 'neg': -3, 'big': 2**70}": { n: 7, zero: 0, neg: -3, big: 2n ** 70n },
  "{'s': 'text', 'empty': '', 'uni': '\\u00e9\\U0001f680'}": { s: "text", empty: "", uni: "\u00e9\u{1f680}" },
  "{'t': True, 'f': False}": { t: true, f: false },
  "{'b': b'\\x00\\x01', 'empty': b'', 'pad': b'abcd'}": {
    b: Buffer.from([0, 1]),
    empty: Buffer.alloc(0),
    pad: Buffer.from("abcd"),
  },
  "{'none': None}": { none: null },
  "{'delay': 7}": { delay: 7 },
  "{'delay': 2.5}": { delay: 2.5 },
  "{'delay': '30'}": { delay: "30" },
  "{'group_id': 'tenant-1'}": { group_id: "tenant-1" },
  "{'retry_on_error': True, 'max_retries': 5, '_retries': 1}": { retry_on_error: true, max_retries: 5, _retries: 1 },
  // Not 'whole': 5.0, which JavaScript cannot tell from 5.
  "{'f': 0.5, 'whole': 5.0, 'big': 1e16, 'huge': 1e22, 'small': 1e-7, 'neg0': -0.0, 'inf': float('inf'), 'nan': float('nan'), 'third': 1/3}":
    { f: 0.5, big: 1e16, huge: 1e22, small: 1e-7, neg0: -0, inf: Infinity, nan: NaN, third: 1 / 3 },
};

function parsed(value: unknown, code: number | null): LabelValue | string {
  const result = parseLabel("x", typeof value === "string" ? JSON.stringify(value) : String(value), code);
  return result.kind === "label" ? result.label.value : "unreadable";
}

describe("labels sent", () => {
  const recorded = golden("wire-messages.json").labels;

  it.each(Object.entries(SAME_IN_JAVASCRIPT))("writes %s as Python does", (source, values) => {
    const { body } = recorded.find(({ labels }) => labels === source) ?? {};
    const { labels, labels_types: types } = JSON.parse(body ?? "") as Record<string, Record<string, unknown>>;
    for (const [name, value] of Object.entries(values)) {
      const { code, text } = encodeLabel(value);
      expect({ name, code, text: JSON.parse(text) }).toEqual({ name, code: types?.[name], text: labels?.[name] });
    }
  });

  it("sends an array or object as JSON under ANY, which Python takes as it is", () => {
    expect(encodeLabel({ a: [1] })).toEqual({ code: 1, value: { a: [1] }, text: '{"a":[1]}' });
  });

  it("reads back what it sent", () => {
    for (const value of [7, -0, 0.5, 2n ** 70n, Infinity, "", "a\0\ud800", true, false, Buffer.from([0, 255])]) {
      const { code, text } = encodeLabel(value);
      expect(parseLabel("x", text, code)).toEqual({ kind: "label", label: { code, value, text } });
    }
  });
});

describe("labels received", () => {
  it.each([
    ["7", 2, 7],
    [" 1_000 ", 2, 1000],
    ["7.0", 2, "unreadable"],
    ["", 2, "unreadable"],
    ["1e3", 2, "unreadable"],
    [7, 2, 7],
    [7.9, 2, 7],
    [-7.9, 2, -7],
    [true, 2, 1],
    [null, 2, "unreadable"],
    ["5", 4, 5],
    ["Infinity", 4, Infinity],
    ["soon", 4, "unreadable"],
    [0.5, 4, 0.5],
    [false, 4, 0],
    [null, 4, "unreadable"],
    ["True", 5, true],
    ["tRUE", 5, true],
    [true, 5, true],
    ["1", 5, false],
    [1, 5, false],
    ["yes", 5, false],
    [null, 5, false],
    ["text", 3, "text"],
    [5, 3, "5"],
    [true, 3, "True"],
    [null, 3, "None"],
    ["anything", 1, "anything"],
    [null, 1, null],
    ["3", null, "3"],
    [3, null, 3],
    ["x", 0, "unreadable"],
    ["x", 9, "unreadable"],
    ["x", -1, "unreadable"],
    ["x", 1.5, "unreadable"],
  ] as const)("reads %j with code %s as %s", (value, code, expected) => {
    expect(parsed(value, code)).toBe(expected);
  });

  it("reads text of a native float as Python prints it", () => {
    expect(parseLabel("x", "5.0", 3)).toMatchObject({ label: { value: "5.0" } });
    expect(parseLabel("x", "1E+2", 3)).toMatchObject({ label: { value: "100.0" } });
    expect(parseLabel("x", "18446744073709551616", 3)).toMatchObject({ label: { value: "18446744073709551616" } });
    expect(parseLabel("x", "-0", 3)).toMatchObject({ label: { value: "0" } });
  });

  it("refuses arrays and objects as numbers and bytes, and keeps their JSON as text", () => {
    for (const code of [2, 4, 6]) expect(parseLabel("x", "[1]", code).kind).toBe("unreadable");
    expect(parseLabel("x", '{"a": 1.0}', 3)).toMatchObject({ label: { value: '{"a": 1.0}' } });
    expect(parseLabel("x", "[1]", 5)).toMatchObject({ label: { value: false } });
  });

  it("does not round a native integer beyond 2^53", () => {
    expect(parseLabel("x", "9007199254740993", 2)).toMatchObject({ label: { value: 9007199254740993n } });
    expect(parseLabel("x", "9007199254740993", null)).toMatchObject({ label: { value: 9007199254740993n } });
    expect(parseLabel("x", "1e22", 2)).toMatchObject({ label: { value: 10n ** 22n } });
  });

  it.each([
    ["AAE=", "0001"],
    ["", ""],
    ["AAE", "unreadable"],
    ["A", "unreadable"],
    ["A===", "unreadable"],
    ["-_-_", ""],
    ["\0\u0001", ""],
    ["AA==trailing", "00"],
    ["AA=BC==", "000042"],
    ["AA=B", "unreadable"],
    ["AA\nE=", "0001"],
    ["\u00e9", "unreadable"],
  ])("decodes the base64 text %j to %s", (text, expected) => {
    const value = parsed(text, 6);
    expect(value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value).toBe(expected);
  });

  it("says which label is wrong, what it should be and what it is", () => {
    expect(parseLabel("delay", '"7.0"', 2)).toEqual({
      kind: "unreadable",
      detail: 'label delay: expected an int (as text: "7"), got "7.0"',
    });
    for (const code of [0, 7, 9]) {
      expect(parseLabel("s", '"5"', code)).toEqual({
        kind: "unreadable",
        detail: `label s: expected a code from 1 to 6 in labels_types, got ${code}`,
      });
    }
  });
});

describe("labels in a result", () => {
  it("are native values that keep their spelling", () => {
    const received: [string, string, number | null][] = [
      ["n", '"7"', 2],
      ["big", '"1180591620717411303424"', 2],
      ["f", '"5"', 4],
      ["inf", '"inf"', 4],
      ["t", '"True"', 5],
      ["b", '"AAE="', 6],
      ["none", '"None"', 1],
      ["native", "1.50", null],
      ["__proto__", "[1, 2]", 1],
    ];
    const labels = new Map<string, Label>();
    for (const [name, text, code] of received) {
      const result = parseLabel(name, text, code);
      if (result.kind === "label") labels.set(name, result.label);
    }
    expect(labelsText(labels)).toBe(
      '{"n":7,"big":1180591620717411303424,"f":5.0,"inf":null,"t":true,"b":"\\u0000\\u0001","none":"None","native":1.50,"__proto__":[1, 2]}',
    );
  });
});
