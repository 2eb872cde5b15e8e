import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { encodeDoorbell } from "../../runtime/wire/message.ts";
import { clearAccess, createKey } from "../access/test-keys.ts";
import { startAwsProxy } from "../support/aws-proxy.ts";
import { ask, clearTasks, createOutboxRow, createTask, createTasks, readOutbox, readTask } from "../support/tasks.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const ROUTES = [
  ["get", "/v1/queues/nowhere"],
  ["post", "/v1/queues/nowhere/pause"],
  ["post", "/v1/queues/nowhere/resume"],
  ["post", "/v1/queues/nowhere/redrive"],
] as const;

let place: PlaceKept;
let api: TestApi;
/** The same deployment, where keys are asked for. */
let guarded: TestApi;
let queues: SqsQueues;

beforeAll(async () => {
  place = await createPlace();
  const { aws } = place;
  queues = openQueues({
    region: aws.region,
    endpoint: aws.endpoint,
    credentials: aws.credentials,
    queues: [
      { name: "default", url: aws.queueUrl("default"), deadLetterUrl: aws.deadLetterUrl("default") },
      // As deployments have it: one dead-letter queue for all of a type.
      {
        name: "media",
        url: aws.queueUrl("default"),
        deadLetterUrl: aws.deadLetterUrl("default"),
        options: { order: "priority", weight: 3, maxSlots: 4 },
      },
      { name: "bare", url: aws.queueUrl("default"), deadLetterUrl: null },
    ],
  });
});
beforeEach(async () => {
  // A fresh process each time: counts of SQS are shared for a second.
  api = await openTestApi(place, { parts: { queues } });
  guarded = await openTestApi(place, { parts: { queues, access: { auth: "keys", environment: "test" } } });
  await clearTasks(api.database);
  await clearAccess(api.database);
});
afterEach(async () => {
  await takeDead();
  await api.close();
  await guarded.close();
});
afterAll(async () => {
  queues?.close();
  await place?.drop();
});

async function bury(ids: readonly string[]): Promise<void> {
  await queues
    .deadLetter("default")
    .send(ids.map((taskId) => ({ body: encodeDoorbell({ taskId, taskName: "demo" }) })));
}

async function takeDead(): Promise<number> {
  const dead = queues.deadLetter("default");
  const messages = await dead.receive({ max: 10, waitMs: 0 });
  await dead.remove(messages.map(({ receiptHandle }) => receiptHandle));
  return messages.length;
}

const bearer = (key: { text: string }) => ({ authorization: `Bearer ${key.text}` });
const audited = () => ask(api.database, "select action, target, actor, detail from taskiq.audit order by id");

describe("GET /v1/queues", () => {
  test("shows every queue: what it was told to be, what waits and runs, who serves it", async () => {
    await createTasks(api.database, [
      { queue: "media", dueInMs: -90_000 },
      { queue: "media", dueInMs: 60_000 },
      { queue: "media", state: "running" },
      { queue: "media", state: "failed" },
      { state: "running" },
    ]);
    await createOutboxRow(api.database, { taskId: await createTask(api.database, { queue: "media" }), queue: "media" });
    await ask(
      api.database,
      `insert into taskiq.worker (name, version, queues, slots, draining, beat_at) values
         ('one', '1', '{media}', 10, false, now()), ('two', '1', '{default,media}', 5, false, now()),
         ('draining', '1', '{media}', 7, true, now()), ('silent', '1', '{media}', 7, false, now() - interval '31 s')`,
    );
    await bury([await createTask(api.database, { state: "failed" })]);
    const { status, body } = await api.get("/v1/queues");
    expect(status).toBe(200);
    const shown = body.queues as Record<string, unknown>[];
    expect(shown.map(({ name }) => name)).toEqual(["default", "media", "bare"]);
    expect(shown[1]).toEqual({
      name: "media",
      type: "standard",
      order: "priority",
      fair: false,
      delay_by_priority: false,
      ack: "claimed",
      weight: 3,
      max_slots: 4,
      paused: false,
      paused_at: null,
      paused_by: null,
      queued: 3,
      running: 1,
      oldest_age_seconds: expect.any(Number),
      unsent: 1,
      workers: 2,
      slots: 15,
      visible: 0,
      in_flight: 0,
      delayed: 0,
      dead_lettered: 1,
    });
    expect(Math.floor(Number(shown[1]?.oldest_age_seconds) / 60)).toBe(1);
    expect(shown[0]).toMatchObject({ queued: 0, running: 1, workers: 1, slots: 5, oldest_age_seconds: null });
    expect(shown[2]).toMatchObject({ dead_lettered: null });
    expect((await api.get("/v1/queues/media")).body).toMatchObject({ name: "media", queued: 3 });
  });

  test("tells what the database knows while SQS is away", async () => {
    const proxy = await startAwsProxy(place.aws.endpoint);
    const away = await openTestApi({ ...place, aws: { ...place.aws, endpoint: proxy.endpoint } });
    try {
      await proxy.close();
      await createTask(api.database);
      expect((await away.get("/v1/queues/default")).body).toMatchObject({
        queued: 1,
        visible: null,
        dead_lettered: null,
        error: expect.stringContaining("cannot be reached"),
      });
    } finally {
      await away.close();
    }
  });
});

test.each(ROUTES)("%s %s is 404 and names the queues there are", async (method, url) => {
  const { status, body } = method === "get" ? await api.get(url) : await api.post(url, "");
  expect({ status, code: body.code }).toEqual({ status: 404, code: "queue_not_found" });
  expect(body.detail).toContain("default, media, bare");
});

describe("pause and resume", () => {
  test("are seen everywhere at once, may be repeated, and are recorded", async () => {
    const paused = await api.post("/v1/queues/default/pause", "");
    expect(paused).toMatchObject({ status: 200, body: { name: "default", paused: true, paused_by: "anonymous" } });
    expect(Date.parse(String(paused.body.paused_at))).toBeGreaterThan(0);
    expect((await api.post("/v1/queues/default/pause", "{}")).body.paused_at).toBe(paused.body.paused_at);
    const [first, second] = (await api.get("/v1/queues")).body.queues as { paused: boolean }[];
    expect([first?.paused, second?.paused]).toEqual([true, false]);
    expect((await api.get("/health")).body).toMatchObject({
      status: "ok",
      queues: [{ paused: true }, { paused: false }, {}],
    });

    for (let again = 0; again < 2; again++) {
      expect(await api.post("/v1/queues/default/resume", "")).toMatchObject({
        status: 200,
        body: { paused: false, paused_at: null, paused_by: null },
      });
    }
    // The second one changed nothing.
    expect(await audited()).toEqual([
      { action: "queue.pause", target: "default", actor: "anonymous", detail: null },
      { action: "queue.pause", target: "default", actor: "anonymous", detail: null },
      { action: "queue.resume", target: "default", actor: "anonymous", detail: null },
    ]);
    expect(api.lines.filter((line) => line.includes("queue.paused"))).toHaveLength(2);
  });

  test("stop nobody from submitting", async () => {
    await api.post("/v1/queues/default/pause", "");
    const { status, body } = await api.post("/v1/tasks", { task: "echo" });
    expect(status).toBe(202);
    expect(await readTask(api.database, body.task_id)).toMatchObject({ state: "queued" });
  });

  test("are not for the keys of one tenant, as the queue is everybody's", async () => {
    const theirs = bearer(await createKey(api.database, { tenant: "theirs", scopes: ["operate"] }));
    const home = bearer(await createKey(api.database, { scopes: ["operate"] }));
    for (const verb of ["pause", "resume"]) {
      const url = `/v1/queues/default/${verb}`;
      expect(await guarded.post(url, "", theirs)).toMatchObject({ status: 403, body: { code: "home_only" } });
      expect(await guarded.post(url, "", home)).toMatchObject({ status: 200 });
    }
  });
});

describe("redrive", () => {
  test("answers what it did, and records who asked for it with the change", async () => {
    const ids = await createTasks(api.database, [
      { state: "failed", attempt: 3, failures: 3 },
      { state: "failed", name: "other" },
      { state: "succeeded" },
    ]);
    await bury(ids);
    const { status, body } = await api.post("/v1/queues/default/redrive", { rate_per_second: 500 });
    expect(status).toBe(200);
    expect(body).toMatchObject({ queue: "default", dry_run: false, redriven: 2, deleted: 1, poison: 0, done: true });
    expect(body.tasks).toHaveLength(2);
    expect(await readTask(api.database, ids[0] ?? "")).toMatchObject({ state: "queued", attempt: 3, failures: 0 });
    expect(await readOutbox(api.database)).toHaveLength(2);
    const [entry, ...others] = await audited();
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ action: "queue.redrive", target: "default", actor: "anonymous" });
    expect(JSON.parse(String(entry?.detail))).toEqual({ limit: null, ratePerSecond: 500, discardPoison: false });
  });

  test("takes no body for the defaults, and a dry run changes and records nothing", async () => {
    const id = await createTask(api.database, { state: "failed" });
    await bury([id]);
    const dry = await api.post("/v1/queues/default/redrive", { dry_run: true });
    expect(dry.body).toMatchObject({ dry_run: true, redriven: 1, done: true });
    expect(await readTask(api.database, id)).toMatchObject({ state: "failed" });
    expect(await audited()).toEqual([]);
    expect((await api.post("/v1/queues/default/redrive", "")).body).toMatchObject({ dry_run: false, redriven: 1 });
  });

  test("that goes on leaves what has failed since it began", async () => {
    const { body: first } = await api.post("/v1/queues/default/redrive", "");
    expect(Date.parse(String(first.began_at))).toBeGreaterThan(0);
    const id = await createTask(api.database, { state: "failed" });
    await bury([id]);
    const next = await api.post("/v1/queues/default/redrive", { began_at: first.began_at });
    expect(next.body).toMatchObject({ redriven: 0, failed_again: 1, began_at: first.began_at, done: true });
    expect(await readTask(api.database, id)).toMatchObject({ state: "failed" });
  });

  test("of one queue leaves the dead letters of others that share its dead-letter queue", async () => {
    const [mine = "", media = ""] = await createTasks(api.database, [
      { state: "failed" },
      { state: "failed", queue: "media" },
    ]);
    await bury([mine, media]);
    const { body } = await api.post("/v1/queues/default/redrive", "");
    expect(body).toMatchObject({ redriven: 1, others: 1, done: true });
    expect(await readTask(api.database, media)).toMatchObject({ state: "failed" });
    expect((await api.post("/v1/queues/media/redrive", "")).body).toMatchObject({ redriven: 1, others: 0 });
  });

  test("with the key of a tenant touches its tasks only; with one of the deployment's own, everybody's", async () => {
    const [theirs = "", ours = ""] = await createTasks(api.database, [
      { state: "failed", tenant: "theirs" },
      { state: "failed" },
    ]);
    await bury([theirs, ours]);
    const key = bearer(await createKey(api.database, { tenant: "theirs", scopes: ["operate"] }));
    const { body } = await guarded.post("/v1/queues/default/redrive", {}, key);
    expect(body).toMatchObject({ redriven: 1, others: 1 });
    expect(await readTask(api.database, ours)).toMatchObject({ state: "failed" });
    expect(await readTask(api.database, theirs)).toMatchObject({ state: "queued" });

    const third = await createTask(api.database, { state: "failed", tenant: "third" });
    await bury([third]);
    const home = bearer(await createKey(api.database, { scopes: ["operate"] }));
    expect((await guarded.post("/v1/queues/default/redrive", {}, home)).body).toMatchObject({ redriven: 2 });
  });

  test("discards poison for a key of the deployment's own only", async () => {
    await queues.deadLetter("default").send([{ body: "no task" }]);
    const theirs = bearer(await createKey(api.database, { tenant: "theirs", scopes: ["admin"] }));
    const home = bearer(await createKey(api.database, { scopes: ["operate"] }));
    const url = "/v1/queues/default/redrive";
    const wanted = { discard_poison: true };
    expect(await guarded.post(url, wanted, theirs)).toMatchObject({ status: 403, body: { code: "home_only" } });
    expect((await guarded.post(url, {}, theirs)).body).toMatchObject({ poison: 1, discarded: 0 });
    expect((await guarded.post(url, wanted, home)).body).toMatchObject({ poison: 0, discarded: 1 });
    expect(await takeDead()).toBe(0);
  });

  test.each([
    ["a rate of nothing", { rate_per_second: 0 }],
    ["too high a rate", { rate_per_second: 501 }],
    ["a limit of nothing", { limit: 0 }],
    ["another field", { all: true }],
  ])("refuses %s", async (_name, body) => {
    expect(await api.post("/v1/queues/default/redrive", body)).toMatchObject({
      status: 422,
      body: { code: "request_invalid" },
    });
  });

  test("says so where no dead-letter queue is configured", async () => {
    const { status, body } = await api.post("/v1/queues/bare/redrive", "");
    expect({ status, code: body.code }).toEqual({ status: 422, code: "unknown_queue" });
  });
});
