import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place);
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

const MEBIBYTE = 1_048_576;

/** A good answer or the caller's mistake, and the process goes on. */
async function expectSane(body: string | Buffer, url = "/v1/tasks"): Promise<number> {
  const { status, headers, body: answer } = await api.post(url, body);
  expect([202, 400, 413, 422]).toContain(status);
  if (status !== 202) {
    expect(headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(answer).toMatchObject({ status, code: expect.stringMatching(/^[a-z_]+$/), detail: expect.any(String) });
  }
  return status;
}

/** Any value JSON can hold, with the texts, names and numbers that break things. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) }),
  fc.constantFrom(
    "\u0000",
    "\ud800",
    "\udfff\ud800",
    "👩‍🚀",
    "\\u0000",
    "\u2028",
    "\ufffe",
    "\uffff",
    "__proto__",
    "constructor",
    "toJSON",
  ),
);
const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, 2 ** 53),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false),
    number,
    text,
    fc.array(tie("value"), { maxLength: 5 }),
    fc.array(fc.tuple(text, tie("value")), { maxLength: 5 }).map((members) => Object.fromEntries(members)),
  ),
}));

test("a value that is accepted comes back unchanged", async () => {
  await fc.assert(
    fc.asyncProperty(
      value,
      fc.dictionary(
        text.filter((name) => name.length <= 200),
        text,
        { maxKeys: 5 },
      ),
      async (input, labels) => {
        const created = await api.post("/v1/tasks", json({ task: "echo", input, labels }));
        expect(created.status).toBe(202);
        const task = await api.get(`/v1/tasks/${created.body.task_id}`);
        expect(json(task.body.input)).toBe(json(input));
        expect(json(task.body.labels)).toBe(json(labels));
      },
    ),
    { numRuns: 400 },
  );
});

test("any JSON at all is answered sanely", async () => {
  await fc.assert(
    fc.asyncProperty(value, fc.constantFrom("/v1/tasks", "/v1/tasks/batch", "/tasks"), async (body, url) => {
      await expectSane(json(body), url);
    }),
    { numRuns: 400 },
  );
});

test("members of the wrong types are answered sanely", async () => {
  const member = <T>(good: fc.Arbitrary<T>) =>
    fc.option(fc.oneof({ weight: 3, arbitrary: good as fc.Arbitrary<unknown> }, value), { nil: undefined });
  const task = fc.record({
    task: member(fc.constantFrom("echo", "strict", "recursive", "sleep")),
    input: member(value),
    queue: member(fc.constant("default")),
    priority: member(fc.integer({ min: -101, max: 101 })),
    delay_seconds: member(fc.double({ min: -1, max: 4e7, noNaN: true })),
    labels: member(fc.dictionary(text, text)),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(task, { maxLength: 4 }), fc.boolean(), async (tasks, batch) => {
      await expectSane(json(batch ? { tasks } : (tasks[0] ?? {})), batch ? "/v1/tasks/batch" : "/v1/tasks");
    }),
    { numRuns: 400 },
  );
});

test("bytes that are no JSON, or nearly, are answered sanely", async () => {
  const good = Buffer.from('{"task":"echo","input":{"a":[1,2.5e3,"\\ud83d\\ude00é",null,true]},"labels":{"a":"b"}}');
  const damaged = fc
    .array(fc.tuple(fc.nat(good.length), fc.nat(3), fc.uint8Array({ maxLength: 4 })), { minLength: 1, maxLength: 4 })
    .map((cuts) =>
      cuts.reduce(
        (bytes, [at, gone, put]) => Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + gone)]),
        good,
      ),
    );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        damaged,
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      ),
      async (bytes) => {
        await expectSane(bytes);
      },
    ),
    { numRuns: 600 },
  );
});

test.each([
  ["one text", () => `{"task":"echo","input":"${"x".repeat(MEBIBYTE - 26)}"}`, 202],
  ["one text, a byte too long", () => `{"task":"echo","input":"${"x".repeat(MEBIBYTE - 25)}"}`, 413],
  ["escapes", () => `{"task":"echo","input":"${String.raw`\u0000`.repeat(170_000)}"}`, 202],
  ["halves of surrogate pairs", () => `{"task":"echo","input":"${String.raw`\ud800`.repeat(170_000)}"}`, 202],
  ["emoji", () => `{"task":"echo","input":"${"👩".repeat(250_000)}"}`, 202],
  [
    "members",
    () => json({ task: "echo", input: Object.fromEntries([...Array(70_000).keys()].map((n) => [`k${n}`, n])) }),
    202,
  ],
  ["lists in lists", () => `{"task":"echo","input":[${Array(300_000).fill("[]").join(",")}]}`, 202],
  ["unknown members", () => json(Object.fromEntries([...Array(70_000).keys()].map((n) => [`k${n}`, n]))), 422],
  [
    "wrong members of a list",
    () => json({ task: "strict", input: { name: "x", list: Array(250_000).fill("a") } }),
    422,
  ],
  [
    "labels",
    () => json({ task: "echo", labels: Object.fromEntries([...Array(80_000).keys()].map((n) => [`k${n}`, ""])) }),
    422,
  ],
  ["a name", () => json({ task: "x".repeat(1_000_000) }), 422],
  ["a member's name", () => `{"task":"echo","${"x".repeat(1_000_000)}":1}`, 422],
  ["tasks without anything", () => json({ tasks: Array(300_000).fill({}) }), 422],
  ["brackets", () => "[".repeat(MEBIBYTE), 400],
  ["brackets that are closed", () => "[".repeat(MEBIBYTE / 2) + "]".repeat(MEBIBYTE / 2), 422],
  ["objects in objects", () => `${'{"a":'.repeat(150_000)}1${"}".repeat(150_000)}`, 422],
  ["digits", () => `{"task":"echo","input":${"9".repeat(1_000_000)}}`, 422],
  ["zeros", () => `{"task":"echo","input":0.${"0".repeat(1_000_000)}1}`, 422],
  [
    "integers that are too large",
    () => `{"task":"echo","input":[${Array(50_000).fill("9007199254740993").join(",")}]}`,
    422,
  ],
  ["blanks", () => " ".repeat(MEBIBYTE), 400],
] as const)("a mebibyte of %s is answered as it should be", async (_what, make, status) => {
  const url = make().startsWith('{"tasks"') ? "/v1/tasks/batch" : "/v1/tasks";
  const answer = await api.post(url, make());
  expect(answer.status).toBe(status);
  expect(answer.text.length).toBeLessThan(100_000);
  if (status !== 202) return;
  const task = await api.get(`/v1/tasks/${answer.body.task_id}`);
  expect(JSON.stringify(task.body.input) === JSON.stringify(JSON.parse(make()).input)).toBe(true);
});

test("bad bodies do not harm good ones that arrive with them", async () => {
  const bad = [
    "{",
    "[".repeat(1_000_000),
    '{"task":"echo","input":1e999}',
    '{"task":"nope"}',
    '{"task":"echo","input":"\\ud800\\u0000"}',
  ];
  const answers = await Promise.all(
    [...Array(100).keys()].map((n) =>
      api.post("/v1/tasks", n % 2 === 0 ? { task: "echo", input: n } : (bad[(n >> 1) % bad.length] as string)),
    ),
  );
  for (const [n, { status }] of answers.entries())
    expect(status).toBe(n % 2 === 0 || (n >> 1) % bad.length === 4 ? 202 : [400, 400, 422, 422][(n >> 1) % bad.length]);
});

test("nothing of all this was our failure", () => {
  expect(api.lines.filter((line) => line.includes("request.failed"))).toEqual([]);
});

/** JSON with -0 in it, which `JSON.stringify` makes 0. */
function json(value: unknown): string {
  return JSON.stringify(value, (_key, inner) => (Object.is(inner, -0) ? NEGATIVE_ZERO : inner)).replaceAll(
    `"${NEGATIVE_ZERO}"`,
    "-0",
  );
}

const NEGATIVE_ZERO = "the number minus zero";
