/** Jobs and runs through the client: against the API over rows in the state under test, and against answers that a working API does not give. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Client, createClient, JsonText, type RunEvent } from "../../runtime/client/index.ts";
import type { JobDefinition } from "../../runtime/define/job.ts";
import type { Graph } from "../../runtime/model/graph.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "../api/test-api.ts";
import { clearRuns, createRun, stepId } from "../support/runs.ts";
import { ask, clearTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import {
  answers,
  breaksOff,
  refuses,
  resets,
  type ScriptedServer,
  type Step,
  startScriptedServer,
} from "./scripted-server.ts";

const RUN = "0198f3c0-0000-7000-8000-000000000001";
const GRAPH: Graph = {
  steps: [
    { key: "a", task: "echo" },
    { key: "m", task: "echo", map: { $ref: "a" } },
  ],
};

let place: PlaceKept;
let api: TestApi;
let client: Client;
let server: ScriptedServer;
let scripted: Client;
const submitted: unknown[][] = [];

beforeAll(async () => {
  const accept = async (...call: unknown[]) => {
    submitted.push(call);
    return { kind: "created" as const, runId: RUN };
  };
  const job = { name: "etl", input: z.unknown(), graph: GRAPH, mode: "orchestrated", priority: 0, labels: {} };
  // As a module of tasks would define it.
  const jobs = new Map([["etl", job as JobDefinition]]);
  [place, server] = await Promise.all([createPlace(), startScriptedServer()]);
  api = await openTestApi(place, {
    runs: { submitter: { submit: accept, reexecute: accept, idle: async () => {} }, jobs },
  });
  const { host, port } = await api.listen({ host: "127.0.0.1", port: 0 });
  client = createClient({ baseUrl: `http://${host}:${port}` });
  scripted = createClient({ baseUrl: server.url });
});
beforeEach(async () => {
  submitted.length = 0;
  await clearTasks(api.database);
  await clearRuns(api.database);
});
afterAll(async () => {
  await server?.close();
  await api?.close();
  await place?.drop();
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const endRun = (id: string, state: string) =>
  ask(
    api.database,
    "update taskiq.run set state = $2::taskiq.run_state, open_steps = 0, finished_at = now() where id = $1",
    [id, state],
  );

test("jobs are listed and shown", async () => {
  expect(await client.jobs.list()).toMatchObject([
    { name: "etl", stepCount: 2, mode: "orchestrated", description: null },
  ]);
  expect(await client.jobs.get("etl")).toMatchObject({ name: "etl", graph: GRAPH, inputSchema: {} });
  await expect(client.jobs.get("none")).rejects.toMatchObject({ code: "job_not_found" });
});

describe("start", () => {
  test("sends a job with its input, or a graph, under the caller's key", async () => {
    const options = { idempotencyKey: "k" };
    expect(await client.runs.start({ job: "etl", input: [1], priority: 3, labels: { a: "b" } }, options)).toEqual({
      runId: RUN,
    });
    await client.runs.start({ job: { name: "etl" } });
    await client.runs.start({ graph: GRAPH, mode: "simple" });
    await client.runs.start({ graph: new JsonText(JSON.stringify(GRAPH)) });
    expect(submitted).toMatchObject([
      [{ job: "etl", input: [1], priority: 3, labels: { a: "b" } }, { idempotencyKey: "k" }],
      [{ job: "etl", input: null }, { idempotencyKey: expect.any(String) }],
      [{ job: null, graph: GRAPH, mode: "simple" }, {}],
      [{ job: null, graph: GRAPH, mode: "orchestrated" }, {}],
    ]);
  });

  test("names the step of a graph that is refused", async () => {
    const graph = { steps: [{ key: "load", task: 3 }] };
    // What TypeScript would not let through.
    await expect(client.runs.start({ graph: graph as unknown as Graph })).rejects.toMatchObject({
      code: "graph_invalid",
      issues: [{ path: "steps.load.task" }],
    });
  });

  test("repeats a lost answer under the same key", async () => {
    server.script(resets, breaksOff, refuses(503, "draining"), answers(202, { run_id: RUN, state: "running" }));
    expect(await scripted.runs.start({ job: "etl" })).toEqual({ runId: RUN });
    const keys = server.requests.map(({ key }) => key);
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
  });
});

describe("looking", () => {
  test("gets a run with its steps, and the text of the answer", async () => {
    const rows = {
      a: { state: "succeeded" as const },
      m: { state: "blocked" as const, elements: [{ state: "failed" as const }, {}] },
    };
    const id = await createRun(api.database, GRAPH, rows, { input: "18446744073709551616", labels: '{"x":"y"}' });
    const run = await client.runs.get(id);
    expect(run).toMatchObject({
      runId: id,
      state: "running",
      health: "waiting",
      labels: { x: "y" },
      stepCount: 4,
      openSteps: 2,
      counts: { blocked: 1, queued: 1, succeeded: 1, failed: 1 },
      steps: [
        { key: "a", taskId: stepId(id, "a"), finishedAt: expect.any(Date), elements: null },
        { key: "m", parents: ["a"], elements: { total: 2, queued: 1, failed: 1 } },
      ],
    });
    expect(run.json).toContain("18446744073709551616");
    expect((await client.runs.get(id, { steps: 1 })).stepsCursor).toBe("1");
    expect(await client.runs.graph(id)).toEqual({ graph: GRAPH, edges: [{ parent: "a", child: "m" }] });
    await expect(client.runs.get(RUN)).rejects.toMatchObject({ code: "run_not_found", status: 404 });
  });

  test("goes through all steps, and all elements of one", async () => {
    const steps = Array.from({ length: 1_200 }, (_, at) => ({ key: `s${at}`, task: "echo" }));
    const id = await createRun(api.database, { steps }, { s7: { state: "failed" } });
    expect((await collect(client.runs.steps(id))).map(({ key }) => key)).toEqual(steps.map(({ key }) => key));
    expect(await collect(client.runs.steps(id, { states: ["failed"] }))).toMatchObject([{ key: "s7" }]);
    const page = await client.runs.stepPage(id, { limit: 2, cursor: "1198" });
    expect([page.steps.map(({ key }) => key), page.nextCursor]).toEqual([["s1198", "s1199"], null]);
    const elements = Array.from({ length: 3 }, () => ({}));
    const mapped = await createRun(api.database, GRAPH, { m: { state: "blocked", elements } });
    expect((await collect(client.runs.steps(mapped, { of: "m" }))).map(({ key }) => key)).toEqual([
      "m[0]",
      "m[1]",
      "m[2]",
    ]);
  });

  test("lists runs by filter", async () => {
    const one = await createRun(api.database, GRAPH, {}, { job: "etl", labels: '{"x":"y"}', createdMsAgo: 10 });
    const other = await createRun(api.database, GRAPH, {}, { state: "failed", createdMsAgo: 5 });
    const found = async (filter = {}) => (await collect(client.runs.list(filter))).map(({ runId }) => runId);
    expect(await found()).toEqual([other, one]);
    expect(await found({ states: ["running"], job: "etl", labels: { x: "y" }, createdBefore: new Date() })).toEqual([
      one,
    ]);
    expect(await found({ states: ["failed", "cancelled"] })).toEqual([other]);
    const first = await client.runs.page({}, { limit: 1 });
    expect((await client.runs.page({}, { limit: 1, cursor: first.nextCursor ?? "" })).runs).toMatchObject([
      { runId: one },
    ]);
  });

  test("waits for the end, however it ends", async () => {
    const id = await createRun(api.database, GRAPH);
    const seen: string[] = [];
    const waiting = client.runs.wait(id, { steps: 0, onUpdate: ({ state }) => seen.push(state) });
    await until(() => seen.length >= 1);
    await endRun(id, "failed");
    expect(await waiting).toMatchObject({ state: "failed", steps: [] });
    const open = await createRun(api.database, GRAPH);
    await expect(client.runs.wait(open, { timeoutMs: 50 })).rejects.toMatchObject({
      code: "wait_timeout",
      message: expect.stringContaining(`expected run ${open} to be finished within 50 ms`),
    });
  });
});

describe("watch", () => {
  const step = (at: number, key: string, change: string): string => {
    const data = {
      key,
      task_id: RUN,
      task: "echo",
      change,
      state: "running",
      attempt: 1,
      at: "2026-01-01T00:00:00.000Z",
      outcome: null,
      error: null,
    };
    return `id: ${at}.${key}:1:${change}\nevent: step\ndata: ${JSON.stringify(data)}\n\n`;
  };
  const run = (state: string): string => `event: run\ndata: {"state":"${state}","counts":{},"error":null}\n\n`;
  /** Sends some events and ends, or breaks off. */
  const streams =
    (text: string, breaks = false): Step =>
    (reply) => {
      reply.hijack();
      reply.raw.writeHead(200, { "content-type": "text/event-stream" });
      if (breaks) reply.raw.write(text, () => setImmediate(() => reply.raw.socket?.resetAndDestroy()));
      else reply.raw.end(text);
    };
  const told = (events: readonly RunEvent[]) =>
    events.map((event) => (event.kind === "step" ? `${event.key} ${event.change}` : event.kind));

  test("tells a run from its beginning to its end", async () => {
    const id = await createRun(api.database, GRAPH, { m: { state: "blocked" } });
    const events: RunEvent[] = [];
    const watching = (async () => {
      for await (const event of client.runs.watch(id)) events.push(event);
    })();
    await until(() => events.length >= 1);
    await ask(
      api.database,
      `update taskiq.task set state = 'running', attempt = 1, worker = 'w', lease_until = now(), started_at = now(), progress = 0.5 where id = $1`,
      [stepId(id, "a")],
    );
    await until(() => events.some(({ kind }) => kind === "progress"));
    await endRun(id, "cancelled");
    await watching;
    expect(events.find(({ kind }) => kind === "step")).toMatchObject({
      key: "a",
      taskId: stepId(id, "a"),
      at: expect.any(Date),
    });
    expect(events.find(({ kind }) => kind === "progress")).toMatchObject({ key: "a", progress: 0.5 });
    expect(events.at(-1)).toMatchObject({ kind: "run", state: "cancelled" });
    await expect(collect(client.runs.watch(RUN))).rejects.toMatchObject({ code: "run_not_found" });
  });

  test("goes on after a break where it was, and leaves out what it has told", async () => {
    const headers: unknown[] = [];
    const noting =
      (next: Step): Step =>
      (reply, request) => {
        headers.push(request.headers["last-event-id"]);
        return next(reply, request);
      };
    const first = step(1_000, "a", "start") + step(2_000, "b", "start");
    server.script(
      noting(streams(run("running") + first, true)),
      noting(streams(first + step(1_500, "late", "start"))),
      noting(streams(step(2_000, "b", "start") + step(3_000, "b", "end") + run("succeeded"))),
    );
    expect(told(await collect(scripted.runs.watch(RUN)))).toEqual([
      "run",
      "a start",
      "b start",
      "late start",
      "b end",
      "run",
    ]);
    expect(headers).toEqual([undefined, "2000.b:1:start", "1500.late:1:start"]);
  });

  test("reads megabytes of events that come at once, as a browser gives them that was busy", async () => {
    const text = Array.from({ length: 10_000 }, (_, at) => step(at, `s${at}`, "start")).join("") + run("succeeded");
    expect(text.length).toBeGreaterThan(2_000_000);
    let requests = 0;
    // One chunk: a connection gives smaller ones.
    const fetch = async () => {
      requests++;
      return new Response(new Blob([text]).stream().pipeThrough(wholeText()));
    };
    const events = await collect(createClient({ baseUrl: "http://127.0.0.1:1", fetch }).runs.watch(RUN));
    expect(events).toHaveLength(10_001);
    expect(requests).toBe(1);
  });

  test("ends where there is nothing left to tell, and with its signal", async () => {
    server.script(streams(step(1_000, "a", "start")), (reply) => reply.code(204).send());
    expect(told(await collect(scripted.runs.watch(RUN)))).toEqual(["a start"]);
    server.script(streams(run("running")));
    const leaving = new AbortController();
    const reason = new Error("enough");
    const watching = collect(scripted.runs.watch(RUN, { signal: leaving.signal }));
    await until(() => server.requests.length > 0);
    leaving.abort(reason);
    await expect(watching).rejects.toBe(reason);
  });
});

describe("changing", () => {
  test("cancels a run, and takes one that is cancelled already for done", async () => {
    const id = await createRun(api.database, GRAPH, { a: { state: "running" }, m: { state: "blocked" } });
    expect(await client.runs.cancel(id, { reason: "why" })).toEqual({ state: "running" });
    expect(await client.runs.get(id)).toMatchObject({ cancelRequested: true, cancelReason: "why" });
    const waiting = await createRun(api.database, { steps: [{ key: "a", task: "echo" }] });
    expect(await client.runs.cancel(waiting)).toEqual({ state: "cancelled" });
    expect(await client.runs.cancel(waiting)).toEqual({ state: "cancelled" });
    const done = await createRun(api.database, GRAPH, {}, { state: "succeeded" });
    await expect(client.runs.cancel(done)).rejects.toMatchObject({ code: "run_finished" });
  });

  test("resumes a run, and runs it again", async () => {
    const id = await createRun(api.database, GRAPH, { a: { announcedMsAgo: 60_000 }, m: { state: "blocked" } });
    expect(await client.runs.resume(id)).toEqual({ state: "running", rung: 1 });
    expect(await client.runs.reexecute(id, { steps: "from_failure", idempotencyKey: "k" })).toEqual({ runId: RUN });
    await client.runs.reexecute(id, { steps: ["a*"] });
    expect(submitted).toEqual([
      [id, { tenant: "default", steps: "from_failure", idempotencyKey: "k", traceContext: null }],
      [id, { tenant: "default", steps: ["a*"], idempotencyKey: expect.any(String), traceContext: null }],
    ]);
  });
});

test("an answer that is none of this API's is refused", async () => {
  server.script(answers(200, { hello: "world" }));
  for (const ask of [
    () => scripted.runs.get(RUN),
    () => scripted.runs.page(),
    () => scripted.runs.stepPage(RUN),
    () => scripted.runs.graph(RUN),
    () => scripted.runs.resume(RUN),
    () => scripted.runs.cancel(RUN),
    () => scripted.runs.start({ job: "etl" }),
    () => scripted.jobs.list(),
    () => scripted.jobs.get("etl"),
  ]) {
    await expect(ask(), String(ask)).rejects.toMatchObject({ code: "unexpected_answer" });
  }
});

/** All that came in one chunk. */
function wholeText(): TransformStream<Uint8Array, Uint8Array> {
  const chunks: Uint8Array[] = [];
  return new TransformStream({
    transform: (chunk) => void chunks.push(chunk),
    flush: (controller) => controller.enqueue(Buffer.concat(chunks)),
  });
}
