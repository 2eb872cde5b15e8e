import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { makeKey } from "../runtime/access/key.ts";
import { loggable, redactText } from "../runtime/redact.ts";

describe("redactText", () => {
  it.each([
    ["postgres://taskiq:hunter2@db:5432/taskiq", "postgres://taskiq:[redacted]@db:5432/taskiq"],
    [
      "no route to postgresql://u:p%40ss@h/d?sslmode=require now",
      "no route to postgresql://u:[redacted]@h/d?sslmode=require now",
    ],
    ["postgres://u:p@ss@h/d", "postgres://u:[redacted]@h/d"],
    ["a http://u:p@a/ and amqp://:q@b/", "a http://u:[redacted]@a/ and amqp://:[redacted]@b/"],
  ])("hides the password in %s", (text, expected) => {
    expect(redactText(text)).toBe(expected);
  });

  it.each([
    ["host=db user=u password=hunter2 dbname=d", "host=db user=u password=[redacted] dbname=d"],
    ["host=db password='hunter2 and more' port=1", "host=db password=[redacted] port=1"],
    ["https://b/k?X-Amz-Signature=0a1b&x=1", "https://b/k?X-Amz-Signature=[redacted]&x=1"],
    ["sent Authorization: Bearer eyJhbGciOi.J9-_~+/= to it", "sent Authorization: Bearer [redacted] to it"],
  ])("hides the secret in %s", (text, expected) => {
    expect(redactText(text)).toBe(expected);
  });

  it.each([
    "hunter2",
    '"hunter2',
    "{hunter2: 1}",
    `{"a":"hunter2", b}`,
    `[1, ${"x".repeat(60)} hunter2 ${"y".repeat(60)}`,
  ])("hides what JSON.parse quotes of %s", (text) => {
    let message = "";
    try {
      JSON.parse(text);
    } catch (error) {
      message = String(error);
    }
    expect(redactText(message)).not.toMatch(/hunter2|xxx|yyy/);
    expect(redactText(message)).toMatch(/JSON/);
  });

  it.each([
    "the bearer of this",
    "expected a password, got none",
    "http://localhost:4566/queue?to=a@b",
    "postgres://user@host/db",
    "12:30 me@example.org",
    "https://h:1/x@y:z@",
  ])("leaves %s as it is", (text) => {
    expect(redactText(text)).toBe(text);
  });

  it("takes a long hostile text without getting slow", () => {
    const start = performance.now();
    for (const text of [
      "a.".repeat(50_000),
      "a://".repeat(25_000),
      `a://${":".repeat(100_000)}`,
      "x://u:".repeat(20_000),
      "password=".repeat(12_000),
      "password='".repeat(12_000),
      "Bearer ".repeat(15_000),
      '"'.repeat(100_000),
      '..."'.repeat(25_000),
    ]) {
      redactText(text);
    }
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});

describe("loggable", () => {
  it("hides secrets by name at every depth, and leaves other names alone", () => {
    const headers = { Authorization: "Bearer x", "x-api-key": "k", "Set-Cookie": "c", accept: "json" };
    const copy = loggable({
      request: { headers: [headers] },
      db_password: 1,
      clientSecret: {},
      accessToken: "t",
      tokens: 3,
    });
    expect(copy).toEqual({
      request: {
        headers: [
          { Authorization: "[redacted]", "x-api-key": "[redacted]", "Set-Cookie": "[redacted]", accept: "json" },
        ],
      },
      db_password: "[redacted]",
      clientSecret: "[redacted]",
      accessToken: "[redacted]",
      tokens: 3,
    });
  });

  it("hides a password that only an error's text and stack contain", () => {
    const text = JSON.stringify(loggable({ error: new Error("bad url postgres://u:hunter2@h/d") }));
    expect(text).toContain("bad url postgres://u:[redacted]@h/d");
    expect(text).not.toContain("hunter2");
  });

  it("hides a password that lies where a long text is cut", () => {
    for (let offset = 0; offset < 60; offset++) {
      const text = `${"x".repeat(8_192 - offset)} postgres://user:hunter2hunter2@host/d ${"y".repeat(9_000)}`;
      expect(JSON.stringify(loggable({ text }))).not.toContain("hunter");
    }
  });

  it("writes what JSON cannot", () => {
    const copy = loggable({
      big: 2n ** 64n,
      nan: Number.NaN,
      date: new Date(0),
      bytes: new Uint8Array(3),
      run: () => 1,
    });
    expect(copy).toEqual({
      big: "18446744073709551616",
      nan: "NaN",
      date: "1970-01-01T00:00:00.000Z",
      bytes: "[3 bytes]",
      run: "[function]",
    });
  });

  it("bounds what is wide, deep, long or endless", () => {
    const cycle: Record<string, unknown> = { wide: Array.from({ length: 100_000 }, (_, index) => index) };
    cycle.self = cycle;
    cycle.long = "é".repeat(1_000_000);
    for (let index = 0; index < 10_000; index++) cycle[`key${index}`] = "v".repeat(10_000);
    expect(JSON.stringify(loggable(cycle)).length).toBeLessThan(100_000);
  });

  it("keeps a name that would change the prototype as a name", () => {
    const copy = loggable(JSON.parse('{"__proto__": {"a": 1}}'));
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"a":1}}');
  });

  it("gives JSON for any object at all", () => {
    const throwing = () => {
      throw new Error("trap");
    };
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const hostile = [
      revoked.proxy,
      new Proxy({}, { get: throwing, ownKeys: throwing, getPrototypeOf: throwing }),
      Object.defineProperty({}, "field", { get: throwing, enumerable: true }),
      { toJSON: throwing },
      [1, 2],
      new Error("as fields"),
    ];
    for (const fields of hostile) {
      expect(() => JSON.stringify(loggable(fields))).not.toThrow();
      expect(() => JSON.stringify(loggable({ fields }))).not.toThrow();
    }
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSparseArray: true,
    });
    fc.assert(fc.property(anything, (value) => typeof JSON.stringify(loggable({ value })) === "string"));
  });
});

describe("an API key", () => {
  const { text, id } = makeKey("prod-eu");
  const shown = `tq_prod-eu_${id}_[redacted]`;

  it("is hidden in texts, but for its id", () => {
    expect(redactText(`Authorization: Bearer ${text}`)).toBe(`Authorization: Bearer ${shown}`);
    expect(redactText(`a ${text}, ${text} and ${text.slice(0, -8)}`)).toBe(`a ${shown}, ${shown} and ${shown}`);
  });

  it("is hidden at any depth of a line, and in errors", () => {
    const line = JSON.stringify(loggable({ a: [{ b: text }], error: new Error(`refused ${text}`), [text]: 1 }));
    expect(line).not.toContain(text.slice(-49, -6));
    expect(line).toContain(shown);
  });

  it("is not seen in what only starts like one", () => {
    for (const other of ["tq_", "tq_local_abc", `tq_local_${id}`, `tq_local_${id}_short`])
      expect(redactText(other)).toBe(other);
  });
});
