import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeLabel, labelsText } from "../../runtime/wire/label.ts";
import {
  type Decoded,
  decodeMessage,
  encodeDoorbell,
  encodeMessage,
  MAX_NESTING,
  type TaskiqMessage,
} from "../../runtime/wire/message.ts";
import { exactJson } from "./exact-json.ts";
import { golden, sentMessages, wireBodies } from "./golden.ts";

const TASK_ID = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
const WIRE_ID = "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b";

/** A TaskIQ message with some members replaced; undefined leaves one out. */
function body(members: Record<string, unknown> = {}): string {
  return JSON.stringify({
    task_id: WIRE_ID,
    task_name: "echo",
    labels: {},
    labels_types: {},
    args: [],
    kwargs: {},
    ...members,
  });
}

function foreign(text: string): TaskiqMessage {
  const decoded = decodeMessage(text);
  if (decoded.kind !== "foreign") throw new Error(`expected a foreign message, got ${JSON.stringify(decoded)}`);
  return decoded.message;
}

function expectSound(decoded: Decoded): void {
  if (decoded.kind !== "unreadable") return;
  expect(decoded.detail).toMatch(/^[\x20-\x7e]{1,200}$/);
}

describe("doorbells", () => {
  it("carry the task id, the name and the label, and no arguments", () => {
    expect(JSON.parse(encodeDoorbell({ taskId: TASK_ID, taskName: "images.resize" }))).toEqual({
      task_id: WIRE_ID,
      task_name: "images.resize",
      labels: { taskiq_aws: "doorbell" },
      labels_types: { taskiq_aws: 3 },
      args: [],
      kwargs: {},
    });
  });

  it("are recognised", () => {
    expect(decodeMessage(encodeDoorbell({ taskId: TASK_ID, taskName: "x" }))).toEqual({
      kind: "doorbell",
      id: TASK_ID,
    });
  });

  it("are ASCII, and the name survives", () => {
    const taskName = 'r\u00e9size \u{1f680} \ufffe\uffff \ud800 \u007f "\\ \0';
    const text = encodeDoorbell({ taskId: TASK_ID, taskName });
    expect(text).toMatch(/^[\x20-\x7e]*$/);
    expect(JSON.parse(text).task_name).toBe(taskName);
  });

  it("are TaskIQ messages like any other to a reader that does not know the label", () => {
    expect(exactJson(encodeDoorbell({ taskId: TASK_ID, taskName: "x" }))).toEqual(
      exactJson(
        encodeMessage({
          taskId: WIRE_ID,
          taskName: "x",
          labels: new Map([["taskiq_aws", encodeLabel("doorbell")]]),
          argsText: "[]",
          kwargsText: "{}",
        }),
      ),
    );
  });

  it.each([
    ["positional arguments", { args: [1] }],
    ["named arguments", { kwargs: { a: 1 } }],
    ["another value of the label", { labels: { taskiq_aws: "bell" } }],
  ])("are not messages with %s, whose work would be lost", (_what, members) => {
    const text = body({ labels: { taskiq_aws: "doorbell" }, labels_types: { taskiq_aws: 3 }, ...members });
    expect(decodeMessage(text).kind).toBe("foreign");
  });
});

describe("messages recorded from TaskIQ", () => {
  it.each(wireBodies())("%s: is written again as it was read", (_name, text) => {
    expect(exactJson(encodeMessage(foreign(text)))).toEqual(exactJson(text));
  });

  it("are written in ASCII, also where they came as raw UTF-8", () => {
    const text = body({
      task_id: "\u{1f680}",
      task_name: "\ufffe",
      labels: { "\u00e9": "\uffff" },
      args: ["\u00e9\u{1f680}\u007f\u2028"],
      kwargs: { "\u4e2d": 1 },
    });
    expect(text).not.toMatch(/^[\x20-\x7e]*$/);
    expect(encodeMessage(foreign(text))).toMatch(/^[\x20-\x7e]*$/);
    expect(exactJson(encodeMessage(foreign(text)))).toEqual(exactJson(text));
  });

  it("has a recording for every kind of argument, label and retry", () => {
    expect(wireBodies().length).toBeGreaterThan(100);
  });

  it("keeps 1 apart from 1.0, -0.0 from 0, and integers beyond 2^53 exact", () => {
    const { argsText, kwargsText } = foreign(
      `{"task_id":"a","task_name":"t","labels":{},"args":[1, 1.0, -0.0, 9007199254740993],"kwargs":{"k": 1e22}}`,
    );
    expect(argsText).toBe("[1, 1.0, -0.0, 9007199254740993]");
    expect(kwargsText).toBe('{"k": 1e22}');
  });

  it.each(golden("wire-messages.json").retries.map((retry) => [retry.name, retry] as const))(
    "%s: labels parse to those of the stored result",
    (_name, { bodies, stored_results: stored }) => {
      const last = foreign(bodies.at(-1) ?? "");
      const result = exactJson(stored.at(-1) ?? "") as { labels: unknown };
      expect(exactJson(labelsText(last.labels))).toEqual(result.labels);
    },
  );

  it.each(sentMessages().filter(({ attributes }) => Object.keys(attributes).length === 0))(
    "$name: $body is readable as sent",
    ({ body: text }) => {
      expect(exactJson(encodeMessage(foreign(text)))).toEqual(exactJson(text));
    },
  );

  it("reads a message of the size at which TaskIQ starts to use S3", () => {
    const [head, tail] = [
      '{"task_id": "00000000000000000000000000000002", "task_name": "pkg.tasks:job", "labels": {}, "labels_types": {}, "args": ["',
      '"], "kwargs": {}}',
    ];
    const text = head + "x".repeat(1_048_576 - head.length - tail.length) + tail;
    // The object that taskiq-aio-sqs put, so this is that text.
    expect(createHash("sha256").update(text).digest("hex")).toBe(
      "412e4d3222e3788e02971df47b5558de8634245238c71c66a9bd06bc791c869f",
    );
    expect(foreign(text).argsText).toHaveLength(1_048_576 - head.length - tail.length + 4);
  });
});

describe("what a Python worker accepts and refuses", () => {
  /** Where this reader differs on purpose. */
  const EXCEPTIONS: Record<string, { kind: Decoded["kind"]; because: string }> = {
    "NaN literal": {
      kind: "unreadable",
      because: "NaN is not JSON: TaskIQ itself writes null, and a json column cannot hold it",
    },
    "task_name unknown": { kind: "foreign", because: "whether a task is known is not a question of the format" },
    "ack_type invalid": {
      kind: "foreign",
      because: "Python fails after parsing; here no label decides when to acknowledge",
    },
    "ack_type python enum text": { kind: "foreign", because: "as above" },
  };

  it.each(golden("accept.json").messages)("$name", (sample) => {
    const text = sample.body ?? Buffer.from(sample.body_base64 ?? "", "base64").toString("utf8");
    // A message that was executed, or whose execution gave a result, was parsed.
    const parsed = sample.executed || sample.result !== undefined;
    const decoded = decodeMessage(text);
    expect(decoded.kind).toBe(EXCEPTIONS[sample.name]?.kind ?? (parsed ? "foreign" : "unreadable"));
    expectSound(decoded);
    if (decoded.kind === "foreign" && sample.result !== undefined) {
      const result = exactJson(sample.result) as { labels: unknown };
      expect(exactJson(labelsText(decoded.message.labels))).toEqual(result.labels);
    }
  });

  it("has an entry for every exception", () => {
    const names = golden("accept.json").messages.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(Object.keys(EXCEPTIONS)));
  });
});

describe("unreadable messages", () => {
  it.each<[string, Extract<Decoded, { kind: "unreadable" }>["reason"], boolean, string, string]>([
    ["no JSON", "not_json", false, "hello", "Unexpected token"],
    ["nothing", "not_json", false, "", "Unexpected end"],
    ["an array", "not_a_task", false, "[]", "body: expected a TaskIQ message (a JSON object), got an array"],
    ["null", "not_a_task", false, "null", "got null"],
    ["a numeric id", "not_a_task", false, body({ task_id: 5 }), "task_id: expected a string, got 5"],
    ["no id", "not_a_task", false, body({ task_id: undefined }), "task_id: expected a string, got nothing"],
    ["no name", "not_a_task", true, body({ task_name: undefined }), "task_name: expected a string, got nothing"],
    ["labels as array", "not_a_task", true, body({ labels: [] }), "labels: expected an object, got an array"],
    ["args null", "not_a_task", true, body({ args: null }), "args: expected an array, got null"],
    ["kwargs array", "not_a_task", true, body({ kwargs: [] }), "kwargs: expected an object, got an array"],
    ["types as array", "not_a_task", true, body({ labels_types: [] }), "labels_types: expected an object or null"],
    [
      "a code null",
      "bad_label",
      true,
      body({ labels_types: { a: null } }),
      "labels_types.a: expected an int, got null",
    ],
    ["a code 2.5", "bad_label", true, body({ labels_types: { a: 2.5 } }), "labels_types.a: expected an int, got 2.5"],
    ["a code 9", "bad_label", true, body({ labels: { a: "x" }, labels_types: { a: 9 } }), "label a: expected a code"],
    ["an int 7.0", "bad_label", true, body({ labels: { a: "7.0" }, labels_types: { a: 2 } }), 'got "7.0"'],
  ])("%s: %s, with id: %s", (_what, reason, hasId, text, sentence) => {
    const decoded = decodeMessage(text);
    expect(decoded).toMatchObject({ kind: "unreadable", reason, id: hasId ? TASK_ID : null });
    expect(decoded).toHaveProperty("detail", expect.stringContaining(sentence));
    expectSound(decoded);
  });

  it("include what no Python peer could read for its depth", () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    // The message itself is one level.
    const text = (depth: number): string => body().replace('"args":[]', `"args":${nested(depth)}`);
    expect(foreign(text(MAX_NESTING - 1)).argsText).toBe(nested(MAX_NESTING - 1));
    expect(decodeMessage(text(MAX_NESTING))).toMatchObject({ reason: "too_deep", id: TASK_ID });
    expect(decodeMessage(text(100_000))).toMatchObject({ reason: "too_deep", id: TASK_ID });
    expect(decodeMessage(nested(100_000))).toMatchObject({ reason: "not_a_task", id: null });
  });
});

describe("hostile bodies", () => {
  it("reads labels named like members of every object", () => {
    const labels = '{"__proto__":"1","constructor":"2","toString":"3"}';
    const text = body().replace('"labels":{}', `"labels":${labels}`);
    expect([...foreign(text).labels].map(([name, { value }]) => [name, value])).toEqual([
      ["__proto__", "1"],
      ["constructor", "2"],
      ["toString", "3"],
    ]);
    const typed = text.replace('"labels_types":{}', '"labels_types":{"__proto__":2}');
    expect(foreign(typed).labels.get("__proto__")?.value).toBe(1);
    expect(exactJson(encodeMessage(foreign(typed)))).toEqual(exactJson(typed));
  });

  it("finds no member in a prototype", () => {
    expect(decodeMessage(`{"__proto__":${body()}}`)).toMatchObject({ kind: "unreadable", reason: "not_a_task" });
    expect(decodeMessage(body({ labels: undefined }).replace("{", '{"__proto__":{"labels":{}},'))).toMatchObject({
      kind: "unreadable",
      reason: "not_a_task",
    });
  });

  it("takes the last of repeated members, in the text as in the value", () => {
    const text = '{"task_id":"a","task_name":"gone","labels":{},"args":[1],"kwargs":{},"args":[2],"task_name":"echo"}';
    expect(foreign(text)).toMatchObject({ taskName: "echo", argsText: "[2]" });
  });

  it("never throws and keeps its sentences short, whatever the text is", () => {
    const members = fc.record(
      {
        task_id: fc.oneof(fc.string({ unit: "binary" }), fc.constant(WIRE_ID), fc.jsonValue()),
        task_name: fc.oneof(fc.string({ unit: "binary" }), fc.jsonValue()),
        labels: fc.oneof(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), fc.jsonValue()),
        labels_types: fc.oneof(fc.dictionary(fc.string(), fc.integer({ min: 0, max: 7 })), fc.jsonValue()),
        args: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
        kwargs: fc.oneof(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), fc.jsonValue()),
        extra: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json(),
      members.map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(texts, fc.nat(), fc.string({ unit: "binary", maxLength: 2 }), (text, at, inserted) => {
        expectSound(decodeMessage(text));
        const damaged = text.slice(0, at % (text.length + 1)) + inserted + text.slice((at % (text.length + 1)) + 1);
        expectSound(decodeMessage(damaged));
      }),
      { numRuns: 5_000 },
    );
  });

  it("writes and reads any message to the same values", () => {
    const name = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("__proto__", "constructor", "taskiq_aws"));
    const typed = fc.oneof(
      fc.tuple(fc.constant(2), fc.bigInt().map(String)),
      fc.tuple(
        fc.constant(4),
        fc.double().map((value) => String(value)),
      ),
      fc.tuple(fc.constant(5), fc.constantFrom("True", "False")),
      fc.tuple(
        fc.constant(6),
        fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64")),
      ),
      fc.tuple(fc.constantFrom(1, 3), fc.string({ unit: "binary" })),
      fc.tuple(fc.constant(1), fc.jsonValue()),
      fc.tuple(fc.constant(undefined), fc.jsonValue()),
    );
    const message = fc.record({
      task_id: fc.string({ unit: "binary" }),
      task_name: fc.string({ unit: "binary" }),
      labels: fc.uniqueArray(fc.tuple(name, typed), { selector: ([key]) => key }),
      args: fc.array(fc.jsonValue(), { minLength: 1 }),
      kwargs: fc.dictionary(name, fc.jsonValue()),
    });
    fc.assert(
      fc.property(message, ({ labels, ...rest }) => {
        const types = labels.filter(([, [code]]) => code !== undefined);
        const text = body({
          ...rest,
          labels: Object.fromEntries(labels.map(([key, [, value]]) => [key, value])),
          labels_types: Object.fromEntries(types.map(([key, [code]]) => [key, code])),
        });
        const decoded = foreign(text);
        expect(exactJson(encodeMessage(decoded))).toEqual(exactJson(text));
        expect(foreign(encodeMessage(decoded)).taskId).toBe(rest.task_id);
      }),
      { numRuns: 1_000 },
    );
  });
});
