import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ask, clearTasks, readOutbox, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;
let other: TestApi;

beforeAll(async () => {
  place = await createPlace();
  [api, other] = await Promise.all([openTestApi(place), openTestApi(place)]);
});
beforeEach(() => clearTasks(api.database));
afterAll(async () => {
  await Promise.all([api?.close(), other?.close()]);
  await place?.drop();
});

const KEY = { "idempotency-key": "order-4711" };

test.each([
  ["/v1/tasks", { task: "echo", input: { a: 1, b: [2] }, labels: { x: "y" } }],
  ["/tasks", { duration_seconds: 3 }],
  [
    "/v1/tasks/batch",
    {
      tasks: [
        { task: "echo", input: 1 },
        { task: "echo", input: 2 },
      ],
    },
  ],
])("the same key and body on %s give the same answer, said to be a repetition", async (url, body) => {
  const first = await api.post(url, body, KEY);
  expect(first.status).toBe(202);
  expect(first.headers).not.toHaveProperty("idempotency-replayed");
  const made = await readTasks(api.database);
  for (const process of [api, other]) {
    const again = await process.post(url, body, KEY);
    expect(again).toMatchObject({ status: 202, text: first.text });
    expect(again.headers["idempotency-replayed"]).toBe("true");
    expect(again.headers.location).toBe(first.headers.location);
  }
  expect(await readTasks(api.database)).toHaveLength(made.length);
});

test("white space and the order of members do not make another body", async () => {
  const first = await api.post("/v1/tasks", '{"task":"echo","input":{"a":1,"b":1.0}}', KEY);
  const again = await other.post("/v1/tasks", ' { "input" : {"b":1,"a":1}, "task":"echo"}', KEY);
  expect(again).toMatchObject({ status: 202, text: first.text });
});

test.each([
  ["another input", { task: "echo", input: 2 }],
  ["another task", { task: "strict", input: { name: "x" } }],
  ["another delay", { task: "echo", input: 1, delay_seconds: 1 }],
  ["a label more", { task: "echo", input: 1, labels: { a: "b" } }],
])("the same key with %s is refused", async (_what, body) => {
  await api.post("/v1/tasks", { task: "echo", input: 1 }, KEY);
  for (const process of [api, other]) {
    const answer = await process.post("/v1/tasks", body, KEY);
    expect(answer).toMatchObject({ status: 422, body: { code: "idempotency_mismatch" } });
  }
  expect(await readTasks(api.database)).toHaveLength(1);
});

test("fifty requests at once with one key, on two processes, make one task", async () => {
  const body = { task: "echo", input: { n: 1 } };
  const answers = await Promise.all(
    [...Array(50).keys()].map((n) => (n % 2 === 0 ? api : other).post("/v1/tasks", body, KEY)),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(answers.filter(({ headers }) => headers["idempotency-replayed"] === undefined)).toHaveLength(1);
  expect(await readTasks(api.database)).toHaveLength(1);
  await until(async () => (await readOutbox(api.database)).length === 0, { what: "the one doorbell to be sent" });
});

test("fifty batches at once with one key, on two processes, make the tasks of one", async () => {
  const tasks = [...Array(20).keys()].map((n) => ({ task: "echo", input: n }));
  const answers = await Promise.all(
    [...Array(50).keys()].map((n) => (n % 2 === 0 ? api : other).post("/v1/tasks/batch", { tasks }, KEY)),
  );
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  const ids = (await readTasks(api.database)).map(({ id }) => id);
  expect(ids.sort()).toEqual(answers[0]?.body.task_ids.toSorted());
});

test("of two bodies that race for one key, one is made and the other refused", async () => {
  for (let round = 0; round < 10; round++) {
    const key = { "idempotency-key": `race-${round}` };
    const answers = await Promise.all([
      api.post("/v1/tasks", { task: "echo", input: 1 }, key),
      other.post("/v1/tasks", { task: "echo", input: 2 }, key),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 422]);
  }
  expect(await readTasks(api.database)).toHaveLength(10);
});

test("a key that has expired may be used again", async () => {
  const first = await api.post("/v1/tasks", { task: "echo", input: 1 }, KEY);
  await ask(api.database, "update taskiq.idempotency set expires_at = now()");
  const second = await api.post("/v1/tasks", { task: "echo", input: 2 }, KEY);
  expect(second.status).toBe(202);
  expect(second.headers).not.toHaveProperty("idempotency-replayed");
  expect(second.body.task_id).not.toBe(first.body.task_id);
  expect(await other.post("/v1/tasks", { task: "echo", input: 2 }, KEY)).toMatchObject({ text: second.text });
});

test("a request that was refused does not use up its key", async () => {
  expect((await api.post("/v1/tasks", { task: "strict", input: {} }, KEY)).status).toBe(422);
  expect((await api.post("/v1/tasks", { task: "strict", input: { name: "x" } }, KEY)).status).toBe(202);
});

test("requests without a key are never taken for one", async () => {
  const answers = await Promise.all([...Array(50).keys()].map(() => api.post("/v1/tasks", { task: "echo" })));
  expect(new Set(answers.map(({ body }) => body.task_id)).size).toBe(50);
});

test.each([
  ["an empty key", ""],
  ["a key with a blank", "a b"],
  ["a key of 256 characters", "x".repeat(256)],
  ["a key that is not ASCII", "é"],
])("refuses %s", async (_what, key) => {
  const { status, body } = await api.post("/v1/tasks", { task: "echo" }, { "idempotency-key": key });
  expect(status).toBe(422);
  expect(body).toMatchObject({ code: "request_invalid", issues: [{ path: "idempotency-key" }] });
});

test("takes a key of 255 characters of any kind that is visible", async () => {
  const key = String.fromCharCode(...[...Array(94).keys()].map((n) => n + 0x21)).padEnd(255, "~");
  const first = await api.post("/v1/tasks", { task: "echo" }, { "idempotency-key": key });
  expect(first.status).toBe(202);
  expect((await other.post("/v1/tasks", { task: "echo" }, { "idempotency-key": key })).text).toBe(first.text);
});
