import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DecodedResult, decodeResult, encodeResult, type TaskResult } from "../../runtime/wire/result.ts";
import { exactJson } from "./exact-json.ts";
import { golden } from "./golden.ts";

const none = { resultText: null, error: null, executionMs: 0, labels: null };

function encodedAgain(decoded: DecodedResult): string {
  switch (decoded.kind) {
    case "value": {
      const { text, executionMs, labels } = decoded;
      return encodeResult({ outcome: "succeeded", resultText: text, error: null, executionMs, labels });
    }
    case "error": {
      const { error, executionMs, labels } = decoded;
      return encodeResult({ outcome: "failed", resultText: null, error, executionMs, labels });
    }
    case "unreadable":
      return decoded.detail;
  }
}

function error(result: Partial<TaskResult>): Record<string, unknown> {
  const text = encodeResult({ ...none, outcome: "failed", ...result });
  return (JSON.parse(text) as { error: Record<string, unknown> }).error;
}

describe("results recorded from S3Backend", () => {
  const stored = golden("results.json").results.filter(({ body }) => body !== undefined);
  const retried = golden("wire-messages.json").retries.flatMap(({ name, stored_results: results }) =>
    results.map((body) => ({ name, body })),
  );

  it("are written again letter by letter", () => {
    expect(stored.length).toBeGreaterThan(40);
    for (const { name, body = "" } of [...stored, ...retried]) {
      expect({ name, body: encodedAgain(decodeResult(body)) }).toEqual({ name, body });
    }
  });

  it("tell values from errors", () => {
    for (const { name, body = "" } of stored) {
      const kind = (JSON.parse(body) as { is_err: boolean }).is_err ? "error" : "value";
      expect({ name, kind: decodeResult(body).kind }).toEqual({ name, kind });
    }
  });

  it("keep the exact text of the value", () => {
    const texts = Object.fromEntries(
      stored.map(({ name, body = "" }) => {
        const decoded = decodeResult(body);
        return [name, decoded.kind === "value" ? decoded.text : null];
      }),
    );
    expect(texts).toMatchObject({
      "return 1.0": "1.0",
      "return 2**53 + 1": "9007199254740993",
      "return 1e22": "1e+22",
      "return None": "null",
    });
  });
});

describe("what a Python client makes of a result", () => {
  /** Where this reader takes what Python's refuses: the outcome is plain all the same. */
  const READ_ALL_THE_SAME: Record<string, DecodedResult["kind"]> = {
    "execution_time missing": "value",
    "error exc_message text": "error",
    "error text": "error",
    "error module missing": "error",
    // Nothing is ever called by the name in a result here, so it is only a name.
    "error not an exception": "error",
    // Python reads this one as an error and does not raise it; a failure must not pass for a success.
    "is_err true without error": "error",
    // Python raises this one, whatever is_err says.
    "is_err false with error": "error",
  };

  it.each(golden("accept.json").results)("$name", (sample) => {
    const python = sample.refused !== undefined ? "unreadable" : sample.is_err ? "error" : "value";
    const decoded = decodeResult(sample.body);
    expect(decoded.kind).toBe(READ_ALL_THE_SAME[sample.name] ?? python);
    if (decoded.kind === "value" && python === "value") {
      expect(JSON.parse(decoded.text)).toEqual(sample.return_value);
      expect(decoded.executionMs).toBe(100);
    }
    if (decoded.kind === "unreadable") expect(decoded.detail).toMatch(/^[\x20-\x7e]{1,200}$/);
  });

  it("has an entry for every difference", () => {
    const names = golden("accept.json").results.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(Object.keys(READ_ALL_THE_SAME)));
  });
});

describe("results written", () => {
  it("have all six members in TaskIQ's order, without blanks", () => {
    expect(encodeResult({ ...none, outcome: "succeeded" })).toBe(
      '{"is_err":false,"log":null,"return_value":null,"execution_time":0.0,"labels":{},"error":null}',
    );
    expect(
      encodeResult({
        outcome: "succeeded",
        resultText: '{"a": 1.0}',
        error: null,
        executionMs: 1_234,
        labels: '{"n":7}',
      }),
    ).toBe('{"is_err":false,"log":null,"return_value":{"a": 1.0},"execution_time":1.23,"labels":{"n":7},"error":null}');
  });

  it.each([
    [0, "0.0"],
    [4, "0.0"],
    [120, "0.12"],
    [3_000, "3.0"],
    [39_600_000, "39600.0"],
    [null, "0.0"],
  ])("say %s ms as %s seconds", (executionMs, seconds) => {
    expect(encodeResult({ ...none, outcome: "succeeded", executionMs })).toContain(`"execution_time":${seconds},`);
  });

  it("name an error by its type under a module that Python cannot have", () => {
    expect(error({ error: { code: "handler_error", type: "RangeError", message: "too large" } })).toEqual({
      exc_type: "RangeError",
      exc_message: ["too large"],
      exc_module: "node.errors",
      exc_cause: null,
      exc_context: null,
      exc_suppress_context: false,
    });
  });

  it("raise a timeout as Python's own TimeoutError", () => {
    expect(
      error({ error: { code: "timeout", type: "TaskiqError", message: "ran longer than 1000 ms" } }),
    ).toMatchObject({
      exc_type: "TimeoutError",
      exc_message: [],
      exc_module: "builtins",
    });
  });

  it("raise a cancelled task as CancelledError, whatever it had failed with before", () => {
    const before = { type: "Error", message: "first attempt" };
    for (const previous of [null, before]) {
      expect(error({ outcome: "cancelled", error: previous })).toMatchObject({
        exc_type: "CancelledError",
        exc_message: [],
        exc_module: "asyncio.exceptions",
      });
    }
  });

  it("never report a failure without an error, which Python would take for a success", () => {
    expect(error({ error: null })).toMatchObject({ exc_type: "Error" });
    expect(encodeResult({ ...none, outcome: "failed" })).toContain('"is_err":true');
  });

  it("leave no value in a failed result", () => {
    expect(encodeResult({ ...none, outcome: "failed", resultText: "1" })).toContain('"return_value":null');
  });

  it("hold no text that Python's reader refuses in an error", () => {
    expect(error({ error: { type: "A\0\ud800", message: "m\ud800\0" } })).toMatchObject({
      exc_type: "A\ufffd",
      exc_message: ["m\ufffd\0"],
    });
  });
});

describe("results read", () => {
  it("say what is wrong", () => {
    expect(decodeResult("hello")).toMatchObject({ detail: expect.stringContaining("got no JSON: Unexpected token") });
    expect(decodeResult("[]")).toMatchObject({ detail: "body: expected a TaskiqResult (a JSON object), got an array" });
    expect(decodeResult("{}")).toMatchObject({ detail: "is_err: expected true or false, got nothing" });
    expect(decodeResult('{"is_err":false}')).toMatchObject({ detail: "return_value: expected a value, got nothing" });
    expect(decodeResult('{"is_err":true,"error":7}')).toMatchObject({ kind: "unreadable" });
  });

  it("show an exception with one argument as that, and with more as all of them", () => {
    const message = (args: string): string | undefined => {
      const decoded = decodeResult(`{"is_err":true,"error":{"exc_type":"E","exc_message":${args}}}`);
      return decoded.kind === "error" ? decoded.error.message : undefined;
    };
    expect(message('["bad"]')).toBe("bad");
    expect(message("[]")).toBe("");
    expect(message('["bad",3]')).toBe('["bad",3]');
    expect(message("[1.0]")).toBe("[1.0]");
  });

  it("follow a chain of causes only so far", () => {
    const link = '{"exc_type":"E","exc_message":[],"exc_module":null,"exc_cause":';
    const chain = (length: number): string => `${link.repeat(length)}null${"}".repeat(length)}`;
    const decoded = decodeResult(`{"is_err":true,"error":${chain(900)}}`);
    expect(decoded.kind).toBe("error");
    expect(encodedAgain(decoded).split('"exc_type"')).toHaveLength(18);
    expect(decodeResult(`{"is_err":true,"error":${chain(100_000)}}`).kind).toBe("unreadable");
  });

  it("never throw, whatever the text is, and write what they read to the same values", () => {
    const result = fc.record(
      {
        is_err: fc.oneof(fc.boolean(), fc.jsonValue()),
        return_value: fc.jsonValue(),
        execution_time: fc.oneof(fc.double(), fc.jsonValue()),
        labels: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()),
        error: fc.oneof(
          fc.constant(null),
          fc.record({ exc_type: fc.string(), exc_message: fc.array(fc.jsonValue()), exc_cause: fc.jsonValue() }),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: [] },
    );
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json(),
      result.map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const decoded = decodeResult(text);
        if (decoded.kind === "unreadable") expect(decoded.detail).toMatch(/^[\x20-\x7e]{1,200}$/);
        else {
          const written = encodedAgain(decoded);
          expect(() => exactJson(written)).not.toThrow();
          if (decoded.kind === "value")
            expect(decodeResult(written)).toMatchObject({ kind: "value", text: decoded.text });
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
