/** From the headers of a request into the rows: the spans of the API, and what passes through it without any. */

import { type Context, context, propagation, ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createClient } from "../../runtime/client/index.ts";
import { createJobRegistry } from "../../runtime/define/job-registry.ts";
import { chainMiddlewares } from "../../runtime/define/middleware.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import { createRunSubmitter } from "../../runtime/flow/runs.ts";
import { createSubmitter } from "../../runtime/flow/submit.ts";
import { createRunWriter } from "../../runtime/flow/submit-run.ts";
import { openLog } from "../../runtime/log.ts";
import { openDatabase } from "../../runtime/postgres/pool.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import type { Tracing } from "../../runtime/tracing/tracing.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "../api/test-api.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { NO_PAYLOADS as payloads } from "../support/unused-payloads.ts";
import { useRecorder } from "./recorder.ts";

const recorder = useRecorder();
const { spans } = recorder;

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const CALLER = `00-${TRACE}-${SPAN}-01`;
const STATE = "rojo=00f067aa0ba902b7";

const echo = defineTask({ name: "echo", input: z.unknown(), run: (input) => input });
const log = openLog({ level: "silent", format: "json", service: "test", write: () => {} });

let place: PlaceKept;
let queues: SqsQueues;
const open: (() => Promise<void>)[] = [];

beforeAll(async () => {
  place = await createPlace();
  const { aws } = place;
  queues = openQueues({
    region: aws.region,
    endpoint: aws.endpoint,
    credentials: aws.credentials,
    queues: [{ name: "default", url: aws.queueUrl("default"), deadLetterUrl: aws.deadLetterUrl("default") }],
  });
});
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});
afterAll(async () => {
  queues.close();
  await place.drop();
});

/** An API whose submitters trace as it does. */
async function start(tracing?: Tracing): Promise<TestApi> {
  const database = openDatabase({ connectionString: place.databaseUrl, max: 4, applicationName: "tracing test" });
  const registry = createRegistry([echo]);
  const announcer = createAnnouncer({ database, queues, payloads, log });
  const submitting = {
    database,
    payloads,
    announcer,
    queues,
    registry,
    inlinePayloadBytes: 65_536,
    maxPayloadBytes: 1_000_000,
    idempotencyTtlMs: 60_000,
    groupCommitMs: 1,
    ...(tracing && { tracing }),
  };
  const submitter = createSubmitter({ ...submitting, middlewares: chainMiddlewares([], log) });
  const runs = createRunSubmitter({ database, payloads, writer: createRunWriter(submitting) });
  const api = await openTestApi(place, {
    parts: { submitter, registry, ...(tracing && { tracing }) },
    runs: { submitter: runs, jobs: createJobRegistry([], registry) },
  });
  open.push(async () => {
    await api.close();
    await announcer.idle();
    await database.close();
  });
  return api;
}

async function traceOf(api: TestApi, table: "task" | "run", id: string): Promise<string | null> {
  const [row] = await ask<{ trace_context: string | null }>(
    api.database,
    `select trace_context from taskiq.${table} where id = '${id}'`,
  );
  return row?.trace_context ?? null;
}

const task = { task: "echo", input: 1 };
const ended = (count: number) => until(() => spans().length >= count && spans());

describe("an API that makes spans", () => {
  test("serves a request in a span within the caller's, and the row goes on with the submission's within that", async () => {
    const api = await start(recorder.tracing);
    const { body, status } = await api.post("/v1/tasks?x=secret", task, { traceparent: CALLER, tracestate: STATE });
    expect(status).toBe(202);
    const [created, served] = await ended(2);
    expect(served).toMatchObject({
      name: "POST /v1/tasks",
      kind: "SERVER",
      traceId: TRACE,
      parent: SPAN,
      status: "UNSET",
      attributes: {
        "http.request.method": "POST",
        "http.route": "/v1/tasks",
        "url.path": "/v1/tasks",
        "url.scheme": "http",
        "http.response.status_code": 202,
      },
    });
    expect(created).toMatchObject({
      name: "create default",
      parent: served?.spanId,
      attributes: { "messaging.message.id": body.task_id },
    });
    expect(await traceOf(api, "task", body.task_id)).toBe(`00-${TRACE}-${created?.spanId}-01 ${STATE}`);
    expect(JSON.stringify(spans())).not.toContain("secret");
  });

  test("makes one span for a batch, whose rows all go on with it", async () => {
    const api = await start(recorder.tracing);
    const { body } = await api.post("/v1/tasks/batch", { tasks: [task, task, task] });
    const [created] = await ended(2);
    expect(created).toMatchObject({ name: "create default", attributes: { "messaging.batch.message_count": 3 } });
    for (const id of body.task_ids) {
      expect(await traceOf(api, "task", id)).toBe(`00-${created?.traceId}-${created?.spanId}-01`);
    }
  });

  test("a run goes on with its submission's span, and so do its steps", async () => {
    const api = await start(recorder.tracing);
    const steps = [
      { key: "a", task: "echo", input: 1 },
      { key: "b", task: "echo", after: ["a"] },
    ];
    const { body } = await api.post("/v1/runs", { graph: { steps } }, { traceparent: CALLER });
    const [created, served] = await ended(2);
    expect(created).toMatchObject({ name: "create run", parent: served?.spanId, traceId: TRACE });
    const expected = `00-${TRACE}-${created?.spanId}-01`;
    expect(await traceOf(api, "run", String(body.run_id))).toBe(expected);
    const rows = await ask<{ trace_context: string }>(
      api.database,
      `select trace_context from taskiq.task where run_id = '${body.run_id}'`,
    );
    expect(rows).toEqual([{ trace_context: expected }, { trace_context: expected }]);
  });

  test.each(["", "no-trace", CALLER.toUpperCase(), `00-${"0".repeat(32)}-${SPAN}-01`])(
    "begins a trace where the header is %j",
    async (traceparent) => {
      const api = await start(recorder.tracing);
      expect((await api.post("/v1/tasks", task, { traceparent, tracestate: STATE })).status).toBe(202);
      const [, served] = await ended(2);
      expect(served?.parent).toBeUndefined();
      expect(served?.traceId).not.toBe(TRACE);
    },
  );

  test("adds no span to the one that an instrumentation of HTTP has made, and goes on with that", async () => {
    const api = await start(recorder.tracing);
    const outer = recorder.provider.getTracer("http").startSpan("POST", { kind: SpanKind.SERVER });
    const { body } = await context.with(trace.setSpan(ROOT_CONTEXT, outer), () => api.post("/v1/tasks", task));
    outer.end();
    const [created, served] = await ended(2);
    expect([created?.name, served?.name]).toEqual(["create default", "POST"]);
    expect(created?.parent).toBe(outer.spanContext().spanId);
    expect(await traceOf(api, "task", body.task_id)).toBe(`00-${created?.traceId}-${created?.spanId}-01`);
  });

  test("says of a request that fails what its status is, of one that is refused nothing is wrong", async () => {
    const api = await start(recorder.tracing);
    await api.post("/v1/tasks", { task: "unknown" });
    await api.database.close();
    await api.get("/v1/tasks/0190a000-0000-7000-8000-000000000001", { traceparent: CALLER });
    const [refused, failed] = await ended(2);
    expect(refused).toMatchObject({ status: "UNSET", attributes: { "http.response.status_code": 422 } });
    expect(failed).toMatchObject({ name: "GET /v1/tasks/:id", status: "ERROR", traceId: TRACE });
    const line = api.lines.map((text) => JSON.parse(text)).find(({ event }) => event === "request.failed");
    expect(line).toMatchObject({
      requestId: expect.any(String),
      caller: "anonymous",
      traceId: TRACE,
      spanId: failed?.spanId,
      route: "/v1/tasks/:id",
    });
  });

  test("makes none for those who watch over the process", async () => {
    const api = await start(recorder.tracing);
    for (const path of ["/livez", "/readyz", "/health"]) expect((await api.get(path)).status).toBe(200);
    await api.get("/nowhere");
    expect((await ended(1)).map(({ name }) => name)).toEqual(["GET"]);
  });

  test("takes no baggage from callers", async () => {
    const seen: Context[] = [];
    const api = await start({
      ...recorder.tracing,
      create(creation) {
        seen.push(context.active());
        return recorder.tracing.create(creation);
      },
    });
    await api.post("/v1/tasks", task, { baggage: "tenant=acme", traceparent: CALLER });
    expect(seen.map((active) => [trace.getSpan(active) !== undefined, propagation.getBaggage(active)])).toEqual([
      [true, undefined],
    ]);
    expect(JSON.stringify(await ended(2))).not.toContain("acme");
  });

  test("a client within a span of a handler goes on with that", async () => {
    const api = await start(recorder.tracing);
    const { host, port } = await api.listen({ host: "127.0.0.1", port: 0 });
    const client = createClient({ baseUrl: `http://${host}:${port}` });
    const span = recorder.tracing.process(
      {
        id: "t",
        name: "demo",
        queue: "default",
        attempt: 1,
        labels: {},
        traceContext: CALLER,
        createdAt: new Date(0),
        waitMs: 0,
        step: null,
      },
      { wallMs: 0 },
    );
    await span?.active(() => client.enqueue("echo", 1));
    span?.end({ recorded: "succeeded", error: null });
    const [created, served] = await ended(3);
    const attempt = spans("process demo")[0];
    expect(created?.parent).toBe(served?.spanId);
    expect(served?.parent).toBe(attempt?.spanId);
  });
});

describe("an API that makes none", () => {
  test("hands the caller's trace on to the rows of tasks and runs", async () => {
    const api = await start();
    const headers = { traceparent: CALLER, tracestate: STATE };
    const { body: made } = await api.post("/v1/tasks", task, headers);
    expect(await traceOf(api, "task", made.task_id)).toBe(`${CALLER} ${STATE}`);
    const graph = { steps: [{ key: "a", task: "echo" }] };
    const { body: run } = await api.post("/v1/runs", { graph }, headers);
    expect(await traceOf(api, "run", String(run.run_id))).toBe(`${CALLER} ${STATE}`);
    expect(spans()).toEqual([]);
  });

  test("takes it from a label where there is no header, and leaves the row without where there is neither", async () => {
    const api = await start();
    const { body: labelled } = await api.post("/v1/tasks", { ...task, labels: { traceparent: CALLER } });
    expect(await traceOf(api, "task", labelled.task_id)).toBe(CALLER);
    const { body: plain } = await api.post("/v1/tasks", task, { traceparent: "bad" });
    expect(await traceOf(api, "task", plain.task_id)).toBeNull();
  });
});
