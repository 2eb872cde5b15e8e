import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient, type TaskEvent } from "../../runtime/client/index.ts";
import { executeSql } from "../support/execute-sql.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { type Deployment, startDeployment } from "./deployment.ts";
import { answers, breaksOff, refuses, type ScriptedServer, startScriptedServer, taskBody } from "./scripted-server.ts";

let deployment: Deployment;
let proxy: TcpProxy;
let server: ScriptedServer;
let client: Client;
let folder = "";
let gates = 0;

beforeAll(async () => {
  [deployment, server] = await Promise.all([startDeployment(), startScriptedServer()]);
  proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(deployment.url).port) });
  client = createClient({ baseUrl: `http://127.0.0.1:${proxy.port}` });
  folder = mkdtempSync(join(tmpdir(), "taskiq-client-"));
});
afterAll(async () => {
  await server.close();
  await proxy.close();
  await deployment.stop();
  rmSync(folder, { recursive: true });
});

/** Tasks of a test of its own: a label tells them apart. */
async function submit(count: number, team: string, settings = {}): Promise<readonly string[]> {
  const entries = Array.from({ length: count }, (_, n) => ({
    task: "test.echo",
    input: n,
    labels: { team },
    ...settings,
  }));
  return (await client.enqueueBatch(entries)).taskIds;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const LATER = { delayMs: 3_600_000 };

describe("list and iterate", () => {
  test("go through all that match, newest first", async () => {
    const ids = await submit(250, "iterate", LATER);
    const filter = { labels: { team: "iterate" } };
    const first = await client.tasks.list(filter, { limit: 3 });
    expect(first.tasks.map(({ taskId }) => taskId)).toEqual(ids.toReversed().slice(0, 3));
    expect(first.tasks[0]).toMatchObject({ task: "test.echo", state: "queued", labels: { team: "iterate" } });
    expect(first.tasks[0]?.createdAt).toBeInstanceOf(Date);
    const second = await client.tasks.list(filter, { limit: 3, cursor: first.nextCursor ?? "" });
    expect(second.tasks.map(({ taskId }) => taskId)).toEqual(ids.toReversed().slice(3, 6));
    const all = await collect(client.tasks.iterate(filter));
    expect(all.map(({ taskId }) => taskId)).toEqual(ids.toReversed());
    expect(await collect(client.tasks.iterate({ ...filter, states: ["failed", "running"] }))).toEqual([]);
    expect(await collect(client.tasks.iterate({ ...filter, createdBefore: new Date(0) }))).toEqual([]);
  });

  test("go on over empty pages, and stop asking when nobody wants more", async () => {
    const empty = answers(200, { tasks: [], next_cursor: "a" });
    server.script(empty, empty, answers(200, { tasks: [taskBody()], next_cursor: "b" }), refuses(500, "internal"));
    for await (const task of createClient({ baseUrl: server.url }).tasks.iterate()) {
      expect(task).toMatchObject({ taskId: taskBody().task_id, orderingKey: null, cancelRequested: false });
      break;
    }
    expect(server.requests.map(({ path }) => path)).toEqual([
      "/v1/tasks?limit=200",
      "/v1/tasks?limit=200&cursor=a",
      "/v1/tasks?limit=200&cursor=a",
    ]);
  });
});

describe("cancel and retry", () => {
  test("one task, as often as one likes", async () => {
    const [id = ""] = await submit(1, "one", LATER);
    expect(await client.tasks.cancel(id, { reason: "why" })).toEqual({ state: "cancelled" });
    expect(await client.tasks.cancel(id)).toEqual({ state: "cancelled" });
    expect(await client.get(id)).toMatchObject({ state: "cancelled", cancelRequested: true, cancelReason: "why" });
    expect(await client.tasks.retry(id)).toEqual({ state: "queued" });
    const done = await client.wait(id);
    expect(done.state).toBe("succeeded");
    await expect(client.tasks.cancel(id)).rejects.toMatchObject({ code: "task_finished" });
    await expect(client.tasks.retry(id)).rejects.toMatchObject({ code: "task_finished" });
    await expect(client.tasks.retry("01900000-0000-7000-8000-000000000000")).rejects.toMatchObject({
      code: "task_not_found",
    });
  });

  test("a cancellation whose answer was lost is not an error the second time", async () => {
    server.script(breaksOff, refuses(409, "task_finished"), answers(200, taskBody({ state: "cancelled" })));
    const { tasks } = createClient({ baseUrl: server.url });
    expect(await tasks.cancel("0190b6a0-0000-7000-8000-000000000001")).toEqual({ state: "cancelled" });
  });

  test("many, after a count", async () => {
    const ids = await submit(30, "many", LATER);
    const filter = { labels: { team: "many" } };
    const count = await client.tasks.countCancellable(filter);
    expect(count.matched).toBe(30);
    await submit(1, "many", LATER);
    const left: number[] = [];
    const onProgress = (remaining: number) => left.push(remaining);
    expect(await client.tasks.cancelMany(filter, { ...count, onProgress })).toEqual({
      changed: 30,
      stopping: 0,
      unchanged: 0,
    });
    expect(left).toEqual([0]);
    expect((await client.tasks.countCancellable(filter)).matched).toBe(1);
    const cancelled = { ...filter, states: ["cancelled"] as const };
    const again = await client.tasks.countRetryable(cancelled);
    expect(again.matched).toBe(30);
    expect(await client.tasks.retryMany(cancelled, again)).toMatchObject({ changed: 30 });
    for (const id of ids) expect((await client.wait(id)).state).toBe("succeeded");
    await expect(client.tasks.cancelMany(filter, { matched: 0, asOf: new Date() })).rejects.toMatchObject({
      code: "count_changed",
      status: 409,
    });
  });

  test("many are asked for until none is left", async () => {
    const step = (remaining: number) =>
      answers(200, { matched: 5, changed: 2, stopping: 1, unchanged: 0, remaining, as_of: "2026-01-01T00:00:00.000Z" });
    server.script(step(2), refuses(503, "database_unavailable"), step(0));
    const asOf = new Date("2026-01-01T00:00:00.000Z");
    const { tasks } = createClient({ baseUrl: server.url });
    expect(await tasks.cancelMany({ queue: "q" }, { matched: 5, asOf, reason: "r" })).toEqual({
      changed: 4,
      stopping: 2,
      unchanged: 0,
    });
    expect(JSON.parse(server.requests[2]?.body ?? "")).toEqual({
      filter: { queue: "q" },
      confirm: 5,
      as_of: "2026-01-01T00:00:00.000Z",
      reason: "r",
    });
  });
});

describe("events", () => {
  test("tell a task to its end over cut connections, nothing twice", async () => {
    const file = join(folder, `gate-${++gates}`);
    const { taskId } = await client.enqueue("test.gate", { file });
    const events: TaskEvent[] = [];
    const away: unknown[] = [];
    const following = (async () => {
      for await (const event of client.tasks.events(taskId, { onAway: (error) => away.push(error) }))
        events.push(event);
    })();
    await until(() => events.some((event) => event.kind === "progress" && event.progress === 0.4));
    proxy.cut();
    await until(() => away.length > 0);
    writeFileSync(file, "");
    await following;
    expect(events.filter(({ kind }) => kind === "progress")).toEqual([
      { kind: "progress", attempt: 1, progress: 0.4, message: "waiting at the gate" },
    ]);
    const states = events.flatMap((event) => (event.kind === "state" ? [event.state] : []));
    expect(states.filter((state) => state !== "queued")).toEqual(["running", "succeeded"]);
    const told = await collect(client.tasks.events(taskId));
    expect(told.map(({ kind }) => kind)).toEqual(["progress", "state"]);
  });

  test("tell what an attempt failed with", async () => {
    const { taskId } = await client.enqueue("test.refuse", { reason: "no" });
    await client.wait(taskId);
    const [attempt, state] = await collect(client.tasks.events(taskId));
    expect(attempt).toMatchObject({
      kind: "attempt",
      attempt: 1,
      outcome: "failed",
      error: { type: "TerminalError", message: "no" },
      endedAt: expect.any(Date),
    });
    expect(state).toMatchObject({ kind: "state", state: "failed", failures: 1 });
    expect((await client.get(taskId)).attempts).toMatchObject([{ attempt: 1, outcome: "failed" }]);
  });

  test("end when the caller leaves, with the caller's reason", async () => {
    const [id = ""] = await submit(1, "leave", LATER);
    const leaving = new AbortController();
    const reason = new Error("enough");
    const following = (async () => {
      for await (const event of client.tasks.events(id, { signal: leaving.signal })) {
        expect(event).toMatchObject({ kind: "state", state: "queued" });
        leaving.abort(reason);
      }
    })();
    await expect(following).rejects.toBe(reason);
  });

  test("an id that no task has is task_not_found", async () => {
    const events = client.tasks.events("01900000-0000-7000-8000-000000000000");
    await expect(events.next()).rejects.toMatchObject({ code: "task_not_found" });
  });
});

describe("workers", () => {
  test("are shown with what they run, and as lost when they fall silent", async () => {
    const [worker] = await until(async () => {
      const all = await client.workers.list();
      return all.length === 1 ? all : undefined;
    });
    expect(worker).toMatchObject({
      state: "alive",
      queues: expect.arrayContaining(["default"]),
      beatAt: expect.any(Date),
    });
    expect((await client.workers.get(worker?.name ?? "")).name).toBe(worker?.name);
    await expect(client.workers.get("nobody")).rejects.toMatchObject({ code: "worker_not_found", status: 404 });
    await executeSql(
      deployment.env.DATABASE_URL ?? "",
      `insert into taskiq.worker (name, version, queues, slots, beat_at) values ('gone', '0', '{default}', 1, now() - interval '1 hour')`,
    );
    expect(await client.workers.get("gone")).toMatchObject({ state: "lost", runningTasks: [] });
  });
});
