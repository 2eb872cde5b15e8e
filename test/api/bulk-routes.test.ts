import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ask, clearTasks, createTask, createTasks, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place);
});
beforeEach(async () => {
  await clearTasks(api.database);
  await ask(api.database, "delete from taskiq.audit");
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

async function bulk(verb: "cancel" | "retry", body: object) {
  const answer = await api.post(`/v1/tasks/${verb}`, body);
  return { status: answer.status, body: answer.body as Readonly<Record<string, unknown>> };
}

const states = async () => Object.groupBy(await readTasks(api.database), ({ state }) => state);
const countOf = async (state: string) => ((await states()) as Record<string, unknown[]>)[state]?.length ?? 0;
const COUNTED = { changed: 0, stopping: 0, unchanged: 0 };

describe("POST /v1/tasks/cancel", () => {
  test("counts first and changes nothing, then cancels what was counted", async () => {
    await createTasks(api.database, [
      ...Array(3).fill({ name: "a" }),
      { name: "a", state: "blocked" },
      ...Array(2).fill({ name: "a", state: "running" }),
      { name: "a", state: "succeeded" },
      { name: "a", tenant: "theirs" },
      { name: "b" },
    ]);
    const counted = await bulk("cancel", { filter: { task: "a" } });
    expect(counted).toMatchObject({ status: 200, body: { ...COUNTED, matched: 6, remaining: 6 } });
    expect(await countOf("cancelled")).toBe(0);
    const body = { filter: { task: "a" }, confirm: 6, as_of: counted.body.as_of, reason: "not needed" };
    const done = await bulk("cancel", body);
    expect(done.body).toMatchObject({ matched: 6, changed: 4, stopping: 2, unchanged: 0, remaining: 0 });
    expect(await countOf("cancelled")).toBe(4);
    const running = (await states()).running ?? [];
    expect(running.map((row) => row.cancel_requested)).toEqual([true, true]);
    // Whose answer got lost repeats it: nothing is left to do.
    expect((await bulk("cancel", body)).body).toMatchObject({ ...COUNTED, matched: 0, remaining: 0 });
  });

  test("refuses when more match than were confirmed, and changes nothing", async () => {
    await createTasks(api.database, Array(3).fill({}));
    expect(await bulk("cancel", { filter: {}, confirm: 2 })).toMatchObject({
      status: 409,
      body: { code: "count_changed" },
    });
    expect(await countOf("cancelled")).toBe(0);
  });

  test("leaves alone what came after the count", async () => {
    await createTask(api.database, { createdMsAgo: 1_000 });
    const { body } = await bulk("cancel", { filter: {} });
    const late = await createTask(api.database, { createdMsAgo: -1_000 });
    const done = await bulk("cancel", { filter: {}, confirm: 5, as_of: body.as_of });
    expect(done.body).toMatchObject({ matched: 1, changed: 1 });
    expect(await readTask(api.database, late)).toMatchObject({ state: "queued" });
  });

  test("takes every filter that the list takes", async () => {
    const labels = JSON.stringify({ team: "x" });
    const [wanted = ""] = await createTasks(api.database, [
      { labels, queue: "other", createdMsAgo: 5_000 },
      { labels, queue: "other", createdMsAgo: 60_000 },
      { labels, createdMsAgo: 5_000 },
      { queue: "other", createdMsAgo: 5_000 },
      { labels, queue: "other", createdMsAgo: 5_000, state: "running" },
    ]);
    const filter = {
      state: ["queued"],
      queue: "other",
      label: "team=x",
      created_after: new Date(Date.now() - 30_000).toISOString(),
    };
    expect((await bulk("cancel", { filter, confirm: 1 })).body).toMatchObject({ matched: 1, changed: 1 });
    expect(await readTask(api.database, wanted)).toMatchObject({ state: "cancelled" });
    expect(await countOf("cancelled")).toBe(1);
  });

  test("works through thousands in batches, and says who asked, in the audit", async () => {
    await createTasks(api.database, Array(1_200).fill({}));
    const { body } = await bulk("cancel", { filter: { state: "queued" }, confirm: 1_200, reason: "why" });
    expect(body).toMatchObject({ matched: 1_200, changed: 1_200, remaining: 0 });
    expect(await readOutbox(api.database)).toEqual([]);
    const audit = await ask<{ actor: string; action: string; detail: string }>(
      api.database,
      "select actor, action, detail from taskiq.audit order by id",
    );
    expect(audit.map(({ actor, action }) => ({ actor, action }))).toEqual(
      Array(3).fill({ actor: "anonymous", action: "tasks.cancel" }),
    );
    const details = audit.map(({ detail }) => JSON.parse(detail));
    expect(details.map(({ changed }) => changed)).toEqual([500, 500, 200]);
    expect(details[0]).toMatchObject({ reason: "why", filter: { states: ["queued"] } });
  });

  test("two at once cancel each task once", async () => {
    await createTasks(api.database, Array(600).fill({}));
    const both = await Promise.all([1, 2].map(() => bulk("cancel", { filter: {}, confirm: 600 })));
    const sum = both.reduce((total, { body }) => total + Number(body.changed), 0);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    expect(sum).toBe(600);
  });
});

describe("POST /v1/tasks/retry", () => {
  test("leaves alone the steps of runs", async () => {
    const runId = "01a1ff2e-0000-7000-8000-000000000001";
    await createTasks(api.database, [{ state: "failed" }, { state: "failed", runId, stepKey: "load" }]);
    expect((await bulk("retry", { filter: {} })).body).toMatchObject({ ...COUNTED, matched: 1, remaining: 1 });
    const done = await bulk("retry", { filter: {}, confirm: 1 });
    expect(done.body).toMatchObject({ matched: 1, changed: 1, unchanged: 0, remaining: 0 });
    expect(await countOf("failed")).toBe(1);
  });

  test("queues failed tasks again, and cancelled ones only where asked for", async () => {
    await createTasks(api.database, [
      ...Array(2).fill({ state: "failed", failures: 3, attempt: 3 }),
      { state: "cancelled" },
      { state: "succeeded" },
      { state: "failed", tenant: "theirs" },
    ]);
    expect((await bulk("retry", { filter: {} })).body).toMatchObject({ ...COUNTED, matched: 2, remaining: 2 });
    expect((await bulk("retry", { filter: {}, confirm: 2 })).body).toMatchObject({ changed: 2, remaining: 0 });
    expect(await countOf("queued")).toBe(2);
    expect(await readOutbox(api.database)).toHaveLength(2);
    const cancelled = { filter: { state: "cancelled" }, confirm: 1 };
    expect((await bulk("retry", cancelled)).body).toMatchObject({ changed: 1 });
  });

  test("does not retry a second time what has failed again since the count", async () => {
    const id = await createTask(api.database, { state: "failed", finishedMsAgo: 1_000 });
    const { body } = await bulk("retry", { filter: {} });
    const again = { filter: {}, confirm: 1, as_of: body.as_of };
    expect((await bulk("retry", again)).body).toMatchObject({ changed: 1 });
    await ask(
      api.database,
      `update taskiq.task set state = 'failed', error = '{}', finished_at = now() + interval '1 second' where id = $1`,
      [id],
    );
    expect((await bulk("retry", again)).body).toMatchObject({ matched: 0, changed: 0 });
  });
});

test.each([
  ["cancel", { filter: { state: "failed" } }, "filter.state"],
  ["cancel", {}, "filter"],
  ["cancel", { filter: { team: "x" } }, "filter.team"],
  ["cancel", { filter: {}, confirm: -1 }, "confirm"],
  ["cancel", { filter: {}, reason: "x".repeat(501) }, "reason"],
  ["retry", { filter: { state: ["failed", "running"] } }, "filter.state"],
  ["retry", { filter: {}, reason: "x" }, "reason"],
  ["retry", { filter: {}, as_of: "now" }, "as_of"],
] as const)("%s refuses %j and says where", async (verb, body, path) => {
  const answer = await bulk(verb, body);
  expect(answer).toMatchObject({ status: 422, body: { code: "request_invalid" } });
  expect((answer.body.issues as { path: string }[])[0]?.path).toBe(path);
});
