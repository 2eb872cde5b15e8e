import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { clearTasks, createTask, readTask, readTasks } from "../support/tasks.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place);
});
beforeEach(() => clearTasks(api.database));
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

test.each([1, 1.5, 300])("accepts a sleep of %f seconds", async (seconds) => {
  const { status, headers, body } = await api.post("/tasks", { duration_seconds: seconds });
  expect(status).toBe(202);
  expect(body).toEqual({ task_id: expect.any(String), state: "queued" });
  expect(headers.location).toBe(`/tasks/${body.task_id}`);
  const row = await readTask(api.database, body.task_id);
  expect(row).toMatchObject({ name: "sleep", state: "queued", input: JSON.stringify({ duration_seconds: seconds }) });
});

test.each([
  [{ duration_seconds: 0 }, "duration_seconds"],
  [{ duration_seconds: 300.001 }, "duration_seconds"],
  [{ duration_seconds: "3" }, "duration_seconds"],
  [{ duration_seconds: null }, "duration_seconds"],
  [{}, "duration_seconds"],
  ['{"duration_seconds":1e999}', "duration_seconds"],
  [{ duration_seconds: 3, seconds: 3 }, "seconds"],
  ['{"duration_seconds":3,"__proto__":{}}', "__proto__"],
  [[], ""],
])("refuses %j by the path of the field", async (payload, path) => {
  const { status, body } = await api.post("/tasks", payload);
  expect(status).toBe(422);
  expect(body).toMatchObject({ code: "request_invalid", issues: [{ path }] });
  expect(await readTasks(api.database)).toEqual([]);
});

test.each(["", "{", "duration_seconds=3"])("refuses %j as no JSON", async (payload) => {
  expect(await api.post("/tasks", payload)).toMatchObject({ status: 400, body: { code: "not_json_body" } });
});

test("shows a task the same way on both paths", async () => {
  const { body } = await api.post("/tasks", { duration_seconds: 3 });
  const [demo, product] = await Promise.all([api.get(`/tasks/${body.task_id}`), api.get(`/v1/tasks/${body.task_id}`)]);
  expect(demo.status).toBe(200);
  expect(demo.text).toBe(product.text);
  const failed = await createTask(api.database, { state: "failed" });
  expect((await api.get(`/tasks/${failed}?wait_seconds=60`)).body).toMatchObject({ state: "failed" });
});
