import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { beat, retire } from "../../runtime/worker/registry.ts";
import { ask, clearTasks, createTasks } from "../support/tasks.ts";
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

const row = (name: string, more = {}) => ({
  name,
  version: "1.2.3",
  queues: ["default", "other"],
  slots: 10,
  running: 2,
  draining: false,
  revision: null,
  ...more,
});
const silence = (name: string, seconds: number) =>
  ask(api.database, "update taskiq.worker set beat_at = now() - $2 * interval '1 second' where name = $1", [
    name,
    seconds,
  ]);

async function statesByName(): Promise<Record<string, string>> {
  const { body } = await api.get("/v1/workers");
  return Object.fromEntries(
    (body.workers as { name: string; state: string }[]).map(({ name, state }) => [name, state]),
  );
}

test("shows every worker by name, with what it runs now", async () => {
  await beat(api.database, row("b", { revision: 7 }));
  await beat(api.database, row("a"));
  const ids = await createTasks(api.database, [
    { state: "running", worker: "b" },
    { state: "running", worker: "b", tenant: "theirs" },
    { state: "succeeded", worker: "b" },
    { state: "running", worker: "gone" },
  ]);
  const { status, body } = await api.get("/v1/workers");
  expect(status).toBe(200);
  const time = expect.stringMatching(/^\d{4}-.*Z$/);
  const common = {
    version: "1.2.3",
    state: "alive",
    queues: ["default", "other"],
    slots: 10,
    running: 2,
    started_at: time,
    beat_at: time,
  };
  expect(body.workers).toEqual([
    { ...common, name: "a", revision: null, running_tasks: [] },
    { ...common, name: "b", revision: 7, running_tasks: ids.slice(0, 2).sort() },
  ]);
  expect((await api.get("/v1/workers/b")).body).toEqual((body.workers as unknown[])[1]);
});

test("a worker is lost when three heartbeats are missing, and alive again with the next one", async () => {
  await beat(api.database, row("quiet"));
  await silence("quiet", 29);
  expect(await statesByName()).toEqual({ quiet: "alive" });
  await silence("quiet", 31);
  expect(await statesByName()).toEqual({ quiet: "lost" });
  await beat(api.database, row("quiet"));
  expect(await statesByName()).toEqual({ quiet: "alive" });
});

test("one that drains says so, one that drained and died is lost, one that stopped is gone", async () => {
  for (const name of ["draining", "died", "stopped"]) await beat(api.database, row(name, { draining: true }));
  await silence("died", 60);
  await retire(api.database, "stopped");
  expect(await statesByName()).toEqual({ draining: "draining", died: "lost" });
});

test("shows at most 100 running tasks of each in the list, and a thousand of one", async () => {
  await beat(api.database, row("busy", { slots: 150, running: 150 }));
  await createTasks(api.database, Array(150).fill({ state: "running", worker: "busy" }));
  const { body } = await api.get("/v1/workers");
  expect((body.workers as { running_tasks: string[] }[])[0]?.running_tasks).toHaveLength(100);
  expect((await api.get("/v1/workers/busy")).body.running_tasks).toHaveLength(150);
});

test.each(["nobody", "a%00b", "%F0%9F%98%80"])("there is no worker %s", async (name) => {
  expect(await api.get(`/v1/workers/${name}`)).toMatchObject({ status: 404, body: { code: "worker_not_found" } });
});
