import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { SHARED_FRESH_MS } from "../../runtime/api/shared-looks.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { createKey } from "../access/test-keys.ts";
import { ask, clearTasks, createTask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;
let looks: string[] = [];
/** A look waits for this one. */
let gate: Promise<unknown> = Promise.resolve();
let isAway = false;
let passedMs = 0;
const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + passedMs };

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place, {
    parts: { clock, access: { auth: "keys", environment: "test" } },
    tap: (database) => ({
      ...database,
      query: async (statement, params) => {
        looks.push(statement.name);
        await gate;
        if (isAway) throw Object.assign(new Error("away"), { code: "ECONNREFUSED" });
        return await database.query(statement, params);
      },
    }),
  });
});
beforeEach(async () => {
  await clearTasks(api.database);
  // Nothing of an earlier test is fresh.
  passedMs += SHARED_FRESH_MS;
  gate = Promise.resolve();
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

async function callerOf(tenant: string) {
  const { text } = await createKey(api.database, { tenant, scopes: ["read"] });
  const headers = { authorization: `Bearer ${text}` };
  // Keeps the row of the key: what is counted is the look.
  await api.get("/v1/jobs", headers);
  looks = [];
  return {
    look: (url: string) => api.get(url, headers),
    share: (url: string) => api.get(url, { ...headers, "x-taskiq-shared": "1" }),
  };
}

const ids = ({ text }: { text: string }) =>
  (JSON.parse(text).tasks as { task_id: string }[]).map(({ task_id: id }) => id);
const listings = () => looks.filter((name) => name === "list-by-time").length;

test("callers of one tenant who ask for the same at about the same time share one look", async () => {
  const { share } = await callerOf("default");
  const id = await createTask(api.database);
  const answers = await Promise.all(Array.from({ length: 20 }, () => share("/v1/tasks?limit=10")));
  expect(answers.map(ids)).toEqual(Array.from({ length: 20 }, () => [id]));
  expect(listings()).toBe(1);
});

test("an answer is shared for two seconds", async () => {
  const { share } = await callerOf("default");
  await share("/v1/tasks");
  const id = await createTask(api.database);
  expect(ids(await share("/v1/tasks"))).toEqual([]);
  passedMs += SHARED_FRESH_MS;
  expect(ids(await share("/v1/tasks"))).toEqual([id]);
  expect(listings()).toBe(2);
});

test("who does not ask for a shared answer sees what is there now", async () => {
  const { share, look } = await callerOf("default");
  await share("/v1/tasks");
  const id = await createTask(api.database);
  expect(ids(await look("/v1/tasks"))).toEqual([id]);
});

test("another query and another tenant get looks of their own", async () => {
  const ours = await callerOf("default");
  const theirs = await callerOf("theirs");
  const id = await createTask(api.database, { tenant: "theirs" });
  expect(ids(await ours.share("/v1/tasks"))).toEqual([]);
  expect(ids(await theirs.share("/v1/tasks"))).toEqual([id]);
  await ours.share("/v1/tasks?state=failed");
  expect((await ours.share(`/v1/tasks/${id}`)).status).toBe(404);
  expect((await theirs.share(`/v1/tasks/${id}`)).status).toBe(200);
  expect((await ours.share(`/v1/tasks/${id}`)).status).toBe(404);
});

test("a look that failed is nobody else's answer", async () => {
  const { share } = await callerOf("default");
  isAway = true;
  expect((await share("/v1/tasks")).status).toBe(503);
  isAway = false;
  expect((await share("/v1/tasks")).status).toBe(200);
});

test("those who wait for a look that fails look for themselves", async () => {
  const { share } = await callerOf("default");
  const open = Promise.withResolvers<void>();
  gate = open.promise;
  isAway = true;
  const first = share("/v1/tasks");
  await until(() => listings() === 1);
  const second = share("/v1/tasks");
  open.resolve();
  expect((await first).status).toBe(503);
  isAway = false;
  expect([200, 503]).toContain((await second).status);
  expect(listings()).toBe(2);
});

test("one task is never shared", async () => {
  const { share } = await callerOf("default");
  const id = await createTask(api.database);
  expect((await share(`/v1/tasks/${id}`)).body).toMatchObject({ progress: null });
  await ask(api.database, "update taskiq.task set progress = 0.5 where id = $1", [id]);
  // An event has told of it, and now it is read.
  expect((await share(`/v1/tasks/${id}`)).body).toMatchObject({ progress: 0.5 });
});
