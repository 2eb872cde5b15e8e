import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { TaskiqError } from "../../runtime/errors.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { createQueueSet, type QueueSet } from "../../runtime/queue/queue-set.ts";
import { startAwsProxy } from "../support/aws-proxy.ts";
import { ask, clearTasks, createOutboxRow, createTask } from "../support/tasks.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
});
beforeEach(async () => {
  // A fresh process each time: answers are shared for a second.
  api = await openTestApi(place);
  await clearTasks(api.database);
  return () => api.close();
});
afterAll(() => place?.drop());

async function startWorker(name: string, columns: { queues?: string[]; draining?: boolean; silentMs?: number } = {}) {
  await ask(
    api.database,
    `insert into taskiq.worker (name, version, queues, slots, draining, beat_at)
     values ($1, '1', $2, 10, $3, now() - $4::float8 * interval '1 millisecond')`,
    [name, columns.queues ?? ["default"], columns.draining ?? false, columns.silentMs ?? 0],
  );
}

describe("/health", () => {
  test("an idle deployment without workers is well", async () => {
    const { status, headers, body } = await api.get("/health");
    expect(status).toBe(200);
    expect(headers["cache-control"]).toBe("no-store");
    expect(body).toEqual({
      status: "ok",
      queues: [
        {
          name: "default",
          visible: 0,
          in_flight: 0,
          delayed: 0,
          dead_lettered: 0,
          oldest_age_seconds: null,
          unsent: 0,
          workers: 0,
          paused: false,
        },
      ],
      database: { status: "ok" },
      workers_alive: 0,
    });
  });

  test("counts the oldest due task, what is unsent, and the workers that take work", async () => {
    await createTask(api.database, { dueInMs: -60_000 });
    await createTask(api.database, { dueInMs: -30_000 });
    const delayed = await createTask(api.database, { dueInMs: 600_000 });
    await createTask(api.database, { state: "running", dueInMs: -900_000 });
    await createOutboxRow(api.database, { taskId: delayed, sendInMs: 600_000 });
    await createOutboxRow(api.database, { taskId: await createTask(api.database), sendInMs: -1_000 });
    await startWorker("one");
    await startWorker("two", { queues: ["default", "other"] });
    await startWorker("elsewhere", { queues: ["other"] });
    await startWorker("draining", { draining: true });
    await startWorker("silent", { silentMs: 31_000 });
    const { body } = await api.get("/health");
    expect(body).toMatchObject({ status: "ok", workers_alive: 3, queues: [{ unsent: 1, workers: 2 }] });
    const [queue] = body.queues as { oldest_age_seconds: number }[];
    expect(queue?.oldest_age_seconds).toBeGreaterThanOrEqual(60);
    expect(queue?.oldest_age_seconds).toBeLessThan(120);
  });

  test("counts messages and dead letters", async () => {
    const queues = deep({ visible: 3, inFlight: 2, delayed: 1 }, { visible: 4, inFlight: 1, delayed: 0 });
    const counting = await openTestApi(place, { parts: { queues } });
    try {
      expect((await counting.get("/health")).body).toMatchObject({
        status: "ok",
        queues: [{ visible: 3, in_flight: 2, delayed: 1, dead_lettered: 5 }],
      });
    } finally {
      await counting.close();
    }
  });

  test("is degraded while tasks are due in a queue that no worker serves", async () => {
    await createTask(api.database, { dueInMs: -1 });
    await startWorker("elsewhere", { queues: ["other"] });
    expect(await api.get("/health")).toMatchObject({
      status: 200,
      body: { status: "degraded", queues: [{ workers: 0 }] },
    });
  });

  test("is degraded without its queue, with a word about why, and not where", async () => {
    const proxy = await startAwsProxy(place.aws.endpoint);
    const away = await openTestApi({ ...place, aws: { ...place.aws, endpoint: proxy.endpoint } });
    try {
      await proxy.close();
      const { status, text, body } = await away.get("/health");
      expect(status).toBe(200);
      expect(body).toMatchObject({
        status: "degraded",
        queues: [
          { visible: null, dead_lettered: null, unsent: 0, error: expect.stringContaining("cannot be reached") },
        ],
        database: { status: "ok" },
      });
      expect(text).not.toContain("127.0.0.1");
    } finally {
      await away.close();
    }
  });

  test("waits two seconds for a part that is silent, and for none in turn", async () => {
    const proxy = await startAwsProxy(place.aws.endpoint);
    proxy.treat(() => ({ kind: "silence" }));
    const silent = await openTestApi({ ...place, aws: { ...place.aws, endpoint: proxy.endpoint } });
    try {
      const startedMs = performance.now();
      expect((await silent.get("/health")).body).toMatchObject({
        status: "degraded",
        queues: [{ error: "The queue cannot be reached: no answer within 2000 ms" }],
      });
      expect(performance.now() - startedMs).toBeLessThan(3_500);
    } finally {
      await proxy.close();
      await silent.close();
    }
  });

  test("is degraded without its database, and unavailable without both", async () => {
    const databaseUrl = "postgres://nobody:nothing@127.0.0.1:1/nowhere";
    const away = await openTestApi(place, { databaseUrl });
    const alone = await openTestApi(
      { ...place, aws: { ...place.aws, endpoint: "http://127.0.0.1:1" } },
      { databaseUrl },
    );
    try {
      expect(await away.get("/health")).toMatchObject({
        status: 200,
        body: {
          status: "degraded",
          queues: [{ visible: 0, unsent: null, workers: null, oldest_age_seconds: null }],
          database: { status: "unavailable", error: "The database cannot be reached (ECONNREFUSED)" },
          workers_alive: null,
        },
      });
      expect(await alone.get("/health")).toMatchObject({
        status: 503,
        body: { status: "unavailable", queues: [{ name: "default", error: expect.any(String) }] },
      });
    } finally {
      await Promise.all([away.close(), alone.close()]);
    }
  });

  test("a stampede costs one look", async () => {
    let looks = 0;
    const zero = { visible: 0, inFlight: 0, delayed: 0 };
    const queues = deep(zero, zero, () => looks++);
    const counting = await openTestApi(place, { parts: { queues } });
    try {
      await Promise.all([...Array(200).keys()].map(() => counting.get("/health")));
      expect(looks).toBe(1);
    } finally {
      await counting.close();
    }
  });
});

describe("/readyz and /livez", () => {
  test("say yes when all is well", async () => {
    for (const url of ["/readyz", "/livez"])
      expect(await api.get(url)).toMatchObject({ status: 200, body: { status: "ok" } });
  });

  test("a process without its database lives and is not ready, until the database is back", async () => {
    const { hostname, port } = new URL(place.databaseUrl);
    const proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    const url = new URL(place.databaseUrl);
    url.host = `${proxy.host}:${proxy.port}`;
    const away = await openTestApi(place, { databaseUrl: url.href });
    try {
      proxy.silence();
      const startedMs = performance.now();
      const answers = await Promise.all([1, 2, 3].map(() => away.get("/readyz")));
      expect(performance.now() - startedMs).toBeLessThan(3_000);
      for (const { status, headers, body } of answers) {
        expect(status).toBe(503);
        expect(body.code).toBe("database_unavailable");
        expect(headers["retry-after"]).toBe("2");
      }
      expect((await away.get("/livez")).status).toBe(200);
      proxy.cut();
      proxy.restore();
      await until(async () => (await away.get("/readyz")).status === 200, { what: "to be ready again" });
    } finally {
      await away.close();
      await proxy.close();
    }
  });

  test("a process that drains lives and is not ready", async () => {
    api.drain();
    expect(await api.get("/readyz")).toMatchObject({ status: 503, body: { code: "draining" } });
    expect(api.lines).toEqual([]);
    expect((await api.get("/livez")).status).toBe(200);
  });
});

/** A set of one queue that holds what it is told. */
function deep(own: Awaited<ReturnType<Queue["depth"]>>, dead: typeof own, look = () => 0): QueueSet {
  const refuse = () => Promise.reject(new TaskiqError("queue_unavailable", "expected to be counted only"));
  const idle = { url: "", receive: refuse, send: refuse, remove: refuse, changeVisibility: refuse };
  const queue: Queue = {
    ...idle,
    name: "default",
    depth: async () => {
      look();
      return own;
    },
  };
  return createQueueSet([{ queue, deadLetter: { ...idle, name: "default-dlq", depth: async () => dead } }]);
}
