/**
 * Whatever a handler returns comes back unchanged, or fails its task with an error that says where it stands; the tasks that are
 * recorded in the same statement are not affected.
 */
import { execFile } from "node:child_process";
import { isDeepStrictEqual, promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { systemClock } from "../../runtime/clock.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { readTask, readTasks, type TaskRow } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { openRig, type Rig, SETTINGS } from "./rig.ts";

const INLINE_BYTES = 2_000;

let rig: Rig;
/** What the handler of each task returns. */
const results = new Map<string, () => unknown>();

beforeAll(async () => {
  rig = await openRig();
  rig.start({
    tasks: [
      defineTask({ name: "demo", input: z.string(), run: (key) => results.get(key)?.() }),
      defineTask({ name: "plain", input: z.unknown(), run: (input) => input }),
    ],
    settings: { slots: 60, inlinePayloadBytes: INLINE_BYTES, completeLingerMs: 5 },
  });
});

afterAll(async () => {
  await rig.reset();
  await rig.close();
});

/** Runs one task for each, with plain ones in between, and returns the rows of the former. */
async function outcomes(handlers: readonly (() => unknown)[]): Promise<TaskRow[]> {
  const ids = await rig.submit(
    handlers.flatMap((handler, nth) => {
      const key = `${results.size}`;
      results.set(key, handler);
      return [{ input: `"${key}"` }, { name: "plain", input: `${nth}` }];
    }),
  );
  await until(async () => (await readTasks(rig.database)).every((row) => row.finished));
  const rows = await Promise.all(ids.map((id) => readTask(rig.database, id)));
  for (const [nth, row] of rows.entries()) {
    if (nth % 2 === 1) expect([row.state, row.result, row.attempt]).toEqual(["succeeded", `${(nth - 1) / 2}`, 1]);
  }
  return rows.filter((_, nth) => nth % 2 === 0);
}

const textOf = (row: TaskRow) => (row.result_ref === null ? row.result : rig.payloads.get(row.result_ref));
const told = async (row: TaskRow): Promise<unknown> => JSON.parse((await textOf(row)) ?? "null");

const NOT_STORABLE = Symbol("cannot be told in JSON");

/** What the value means in JSON, by the rules that handlers are promised: written apart from the product's encoder. */
function meaning(value: unknown): unknown {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : NOT_STORABLE;
  if (typeof value !== "object") return NOT_STORABLE;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? NOT_STORABLE : value.toISOString();
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return meaning(value.valueOf());
  if (Array.isArray(value)) {
    const items = Array.from(value, meaning);
    return items.includes(NOT_STORABLE) ? NOT_STORABLE : items;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return NOT_STORABLE;
  const copy = {};
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined || typeof member === "function" || typeof member === "symbol") continue;
    const told = meaning(member);
    if (told === NOT_STORABLE) return NOT_STORABLE;
    // A member may be called __proto__.
    Object.defineProperty(copy, key, { value: told, enumerable: true, writable: true, configurable: true });
  }
  return copy;
}

const anything = fc.anything({
  maxDepth: 4,
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withObjectString: true,
  withSparseArray: true,
  withTypedArray: true,
  stringUnit: "binary",
});

const json = fc.jsonValue({ stringUnit: "binary", noUnicodeString: false, depthSize: "medium" });

test("any value comes back unchanged, or fails its own task with a clear error", async () => {
  const seen = { stored: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(anything, json), { minLength: 20, maxLength: 30 }), async (values) => {
      const rows = await outcomes(values.map((value) => () => value));
      for (const [nth, row] of rows.entries()) {
        // A handler that returns nothing has the result null.
        const expected = values[nth] === undefined ? null : meaning(values[nth]);
        if (expected === NOT_STORABLE) {
          seen.refused++;
          expect([row.state, row.attempt, row.failures]).toEqual(["failed", 1, 1]);
          const error = JSON.parse(row.error ?? "");
          expect(error).toMatchObject({
            code: "result_not_storable",
            message: expect.stringMatching(/^expected .* at \$/),
          });
        } else {
          seen.stored++;
          expect(row.state).toBe("succeeded");
          expect(
            isDeepStrictEqual(await told(row), expected),
            `${fc.stringify(values[nth])} as ${await textOf(row)}`,
          ).toBe(true);
        }
      }
    }),
    { numRuns: 12, endOnFailure: true },
  );
  expect(seen.stored).toBeGreaterThan(50);
  expect(seen.refused).toBeGreaterThan(20);
  expect(rig.events("complete.failed", "process.failed")).toEqual([]);
});

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

function cycle(): unknown {
  const inner: { outer?: unknown } = {};
  const outer = { list: [inner] };
  inner.outer = outer;
  return outer;
}

/** Four million leaves in 22 arrays: 25 MB of JSON. */
function explosion(): unknown {
  let value: unknown = "x";
  for (let level = 0; level < 22; level++) value = [value, value];
  return value;
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({ a: 1 }, {});
  revoke();
  return { proxy };
}

const sparse = () => Object.assign([], { length: 4_294_967_295 });
const quoted = (bytes: number) => "x".repeat(bytes - 2);

test.each<[string, () => unknown, unknown]>([
  ["undefined", () => undefined, null],
  ["null", () => null, null],
  ["-0", () => ({ zero: -0, list: [-0, 0] }), { zero: -0, list: [-0, 0] }],
  ["2 to the power of 64", () => 2 ** 64, 18_446_744_073_709_552_000],
  ["the largest and the smallest number", () => [Number.MAX_VALUE, 5e-324], [Number.MAX_VALUE, 5e-324]],
  ["U+0000, also in a key", () => ({ "\u0000": "a\u0000b" }), { "\u0000": "a\u0000b" }],
  ["half surrogates, also in a key", () => ({ "\ud800": "\udc00\ud800" }), { "\ud800": "\udc00\ud800" }],
  ["emoji", () => "😀👩‍👩‍👧", "😀👩‍👩‍👧"],
  ["a member called __proto__", () => JSON.parse('{"__proto__":{"a":1}}'), JSON.parse('{"__proto__":{"a":1}}')],
  ["1,000 levels", () => nested(1_000), nested(1_000)],
  ["a promise, awaited", async () => "later", "later"],
  [
    "one value in two places",
    () => {
      const one = { a: 1 };
      return [one, one];
    },
    [{ a: 1 }, { a: 1 }],
  ],
  ["just what fits into the row", () => quoted(INLINE_BYTES), quoted(INLINE_BYTES)],
  ["a byte more", () => quoted(INLINE_BYTES + 1), quoted(INLINE_BYTES + 1)],
  ["letters of two bytes that are too many for the row", () => "é".repeat(1_500), "é".repeat(1_500)],
  ["the largest result", () => quoted(SETTINGS.maxPayloadBytes), quoted(SETTINGS.maxPayloadBytes)],
])("stores %s unchanged", async (_what, handler, value) => {
  const [row] = (await outcomes([handler])) as [TaskRow];
  expect([row.state, row.error]).toEqual(["succeeded", null]);
  expect(isDeepStrictEqual(await told(row), value)).toBe(true);
  expect(row.result_ref !== null).toBe(Buffer.byteLength(JSON.stringify(value)) > INLINE_BYTES);
});

test.each<[string, () => unknown, RegExp]>([
  ["a bigint", () => ({ id: 2n ** 64n }), /bigint 18446744073709551616 at \$\.id/],
  ["NaN", () => [1, Number.NaN], /NaN at \$\[1\]/],
  ["Infinity", () => Number.NEGATIVE_INFINITY, /-Infinity at \$/],
  ["undefined in an array", () => [undefined], /undefined in an array at \$\[0\]/],
  ["a function", () => () => 1, /function at \$/],
  ["a symbol", () => Symbol("s"), /Symbol\(s\) at \$/],
  ["a cycle", cycle, /contains itself at \$\.list\[0\]\.outer/],
  ["a Map", () => ({ map: new Map([[1, 2]]) }), /Map.* at \$\.map/],
  ["a Set", () => new Set([1]), /Set/],
  ["bytes", () => new Uint8Array(3), /Uint8Array/],
  ["an error", () => new Error("no route"), /Error/],
  ["a date that is none", () => new Date(Number.NaN), /invalid date/],
  ["1,001 levels", () => nested(1_001), /more than 1000 levels/],
  ["100,000 levels", () => nested(100_000), /more than 1000 levels/],
  ["an array of 4 thousand million holes", sparse, /undefined in an array at \$\[0\]/],
  [
    "a getter that throws",
    () => ({
      get a() {
        throw new Error("no a");
      },
    }),
    /no a/,
  ],
  [
    "a toJSON that throws",
    () => ({
      toJSON() {
        throw new Error("no JSON");
      },
    }),
    /no JSON/,
  ],
  ["a proxy that was revoked", revoked, /revoked/],
  ["a byte more than the largest result", () => quoted(SETTINGS.maxPayloadBytes + 1), /1000001 bytes|1000000/],
  ["letters of two bytes that are too many", () => "é".repeat(SETTINGS.maxPayloadBytes / 2), /1000002 bytes/],
])("refuses %s, and says why", async (_what, handler, message) => {
  const [row] = (await outcomes([handler])) as [TaskRow];
  expect([row.state, row.failures, row.result, row.result_ref]).toEqual(["failed", 1, null, null]);
  expect(JSON.parse(row.error ?? "")).toMatchObject({
    code: "result_not_storable",
    message: expect.stringMatching(message),
  });
  expect(rig.heldDead().ready).toEqual([]);
});

test("refuses a small value that is a long text without writing all of it", async () => {
  const startedMs = systemClock.nowMs();
  const [row] = (await outcomes([explosion])) as [TaskRow];
  expect(row.state).toBe("failed");
  expect(JSON.parse(row.error ?? "")).toMatchObject({ code: "result_not_storable" });
  // Nothing else runs in the process meanwhile, heartbeats included.
  expect(systemClock.nowMs() - startedMs).toBeLessThan(3_000);
});

test("writes the text of a result that is just allowed within a small heap: 16 MB from 8 million pieces", async () => {
  const encoder = new URL("../../runtime/payload/json.ts", import.meta.url).href;
  const program = `
    import { encodeJson } from ${JSON.stringify(encoder)};
    const list = Array.from({ length: 8_000_000 }, (_, nth) => nth % 10);
    process.stdout.write(String(encodeJson(list, { maxChars: 16_777_216 }).length));`;
  const args = ["--max-old-space-size=300", "--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toBe("16000001");
});
