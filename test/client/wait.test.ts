import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ApiError, createClient, type Task } from "../../runtime/client/index.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { until } from "../support/until.ts";
import {
  answers,
  hangs,
  refuses,
  resets,
  type ScriptedServer,
  startScriptedServer,
  taskBody,
} from "./scripted-server.ts";

const ID = String(taskBody().task_id);

let server: ScriptedServer;

beforeAll(async () => {
  server = await startScriptedServer();
});

afterAll(async () => {
  await server.close();
});

/** Its time goes on by what is waited for, and nothing waits. */
function fastClock(): Clock & { pass(ms: number): void } {
  let nowMs = 0;
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { nowMs: () => nowMs, wallMs: systemClock.wallMs, after: async (ms) => pass(ms), pass };
}

const task = (state: string, over: Record<string, unknown> = {}) => answers(200, taskBody({ state, ...over }));
const paths = () => server.requests.map(({ path }) => path);

describe("waiting for a task", () => {
  test("asks again until it is finished", async () => {
    server.script(task("queued"), task("running"), task("running"), task("succeeded", { result: { rows: 3 } }));
    const clock = fastClock();
    const done = await createClient({ baseUrl: server.url, clock }).wait(ID);
    expect(done).toMatchObject({ taskId: ID, state: "succeeded", result: { rows: 3 } });
    // A server that does not hold its answers back is not asked without a pause.
    expect(clock.nowMs()).toBe(1_500);
    expect(paths()).toEqual(Array.from({ length: 4 }, () => `/v1/tasks/${ID}?wait_seconds=20`));
  });

  test.each(["failed", "cancelled", "skipped"])("ends with a task that is %s", async (state) => {
    server.script(task("running"), task(state));
    expect((await createClient({ baseUrl: server.url, clock: fastClock() }).wait(ID)).state).toBe(state);
  });

  test("shows the task at once and then with every short poll", async () => {
    server.script(task("queued"), task("running", { progress: 0.5 }), task("succeeded"));
    const seen: Task[] = [];
    const client = createClient({ baseUrl: server.url, clock: fastClock() });
    await client.wait(ID, { onUpdate: (update) => seen.push(update) });
    expect(seen.map(({ state, progress }) => [state, progress])).toEqual([
      ["queued", null],
      ["running", 0.5],
      ["succeeded", null],
    ]);
    expect(paths()).toEqual([`/v1/tasks/${ID}`, `/v1/tasks/${ID}?wait_seconds=1`, `/v1/tasks/${ID}?wait_seconds=1`]);
  });

  test("goes on when the API goes away for a while", async () => {
    server.script(task("running"), ...Array.from({ length: 7 }, () => resets), task("succeeded"));
    const away: ApiError[] = [];
    const clock = fastClock();
    const client = createClient({ baseUrl: server.url, clock });
    const done = await client.wait(ID, { onAway: (error) => away.push(error) });
    expect(done.state).toBe("succeeded");
    expect(away.map(({ code }) => code)).toEqual(["api_unreachable"]);
  });

  test("gives up when the API stays away for more than a minute", async () => {
    server.script(task("running"), refuses(503, "draining", { "retry-after": "10" }));
    const clock = fastClock();
    const away: ApiError[] = [];
    const waiting = createClient({ baseUrl: server.url, clock }).wait(ID, { onAway: (error) => away.push(error) });
    await expect(waiting).rejects.toMatchObject({ code: "draining" });
    expect(away.length).toBeGreaterThan(0);
    expect(clock.nowMs()).toBeGreaterThan(60_000);
    expect(clock.nowMs()).toBeLessThan(120_000);
  });

  test("gives up at once when the API was never there", async () => {
    server.script(resets);
    const waiting = createClient({ baseUrl: server.url, clock: fastClock() }).wait(ID);
    await expect(waiting).rejects.toMatchObject({ code: "api_unreachable" });
    expect(server.requests).toHaveLength(5);
  });

  test("ends with task_not_found for an id that has no task", async () => {
    server.script(refuses(404, "task_not_found"));
    await expect(createClient({ baseUrl: server.url }).wait(ID)).rejects.toMatchObject({
      code: "task_not_found",
      status: 404,
    });
    expect(server.requests).toHaveLength(1);
  });
});

describe("a bounded wait", () => {
  test("ends in the middle of a poll, and says how far the task is", async () => {
    server.script(task("running"), hangs);
    const waiting = createClient({ baseUrl: server.url }).wait(ID, { timeoutMs: 300 });
    await expect(waiting).rejects.toMatchObject({ code: "wait_timeout" });
    await expect(waiting).rejects.toThrow(`expected task ${ID} to be finished within 300 ms, it is running`);
  });

  test("of zero looks once", async () => {
    server.script(task("running"));
    await expect(createClient({ baseUrl: server.url }).wait(ID, { timeoutMs: 0 })).rejects.toThrow("it is running");
    expect(paths()).toEqual([`/v1/tasks/${ID}`]);
    server.script(task("succeeded"));
    expect((await createClient({ baseUrl: server.url }).wait(ID, { timeoutMs: 0 })).state).toBe("succeeded");
  });
});

test("a caller who leaves gets the reason, and the poll is ended", async () => {
  server.script(task("running"), hangs);
  const leaving = new AbortController();
  const waiting = createClient({ baseUrl: server.url, clock: fastClock() }).wait(ID, { signal: leaving.signal });
  waiting.catch(() => {});
  await until(() => server.requests.length === 2);
  leaving.abort(new Error("left"));
  await expect(waiting).rejects.toThrow("left");
});

test("a result that JavaScript would round stands exact in the text", async () => {
  const json = JSON.stringify(taskBody({ state: "succeeded", result: "RESULT" })).replace(
    '"RESULT"',
    "18446744073709551616",
  );
  server.script((reply) => reply.type("application/json").send(json));
  expect((await createClient({ baseUrl: server.url }).get(ID)).json).toBe(json);
});

test("times are dates", async () => {
  server.script(task("running", { started_at: "2026-01-01T00:00:01.250Z" }));
  const { createdAt, startedAt, finishedAt } = await createClient({ baseUrl: server.url }).get(ID);
  expect(createdAt.toISOString()).toBe("2026-01-01T00:00:00.000Z");
  expect(startedAt?.getMilliseconds()).toBe(250);
  expect(finishedAt).toBeNull();
});

describe("a batch", () => {
  test("is one request with one key, and keeps its order", async () => {
    server.script(resets, answers(202, { task_ids: ["a", "b"] }));
    const client = createClient({ baseUrl: server.url });
    const entries = [
      { task: "sleep", input: { n: 1 } },
      { task: "sleep", delayMs: 2_000 },
    ];
    expect(await client.enqueueBatch(entries)).toEqual({ taskIds: ["a", "b"] });
    const [first, second] = server.requests;
    expect(first?.key).toBeDefined();
    expect(second).toEqual(first);
    expect(JSON.parse(first?.body ?? "")).toEqual({
      tasks: [
        { task: "sleep", input: { n: 1 } },
        { task: "sleep", delay_seconds: 2 },
      ],
    });
  });

  test("of nothing asks for nothing", async () => {
    server.script(resets);
    expect(await createClient({ baseUrl: server.url }).enqueueBatch([])).toEqual({ taskIds: [] });
    expect(server.requests).toHaveLength(0);
  });
});

test("the health of a deployment that is away is an answer, not an error", async () => {
  const body = {
    status: "unavailable",
    queues: [],
    database: { status: "away", error: "refused" },
    workers_alive: null,
  };
  server.script(answers(503, body));
  expect(await createClient({ baseUrl: server.url }).health()).toEqual({
    status: "unavailable",
    queues: [],
    database: { status: "away", error: "refused" },
    workersAlive: null,
  });
  expect(server.requests).toHaveLength(1);
});
