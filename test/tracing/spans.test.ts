/** The spans by themselves: names, attributes, parents and how they end. */
import { context, trace } from "@opentelemetry/api";
import { describe, expect, test } from "vitest";
import { createTracing } from "../../runtime/tracing/spans.ts";
import { activeTraceContext, during, NO_TRACING, type TracedTask, withinTrace } from "../../runtime/tracing/tracing.ts";
import { useRecorder } from "./recorder.ts";

const { tracing, provider, spans } = useRecorder();

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const CREATED = `00-${TRACE}-${SPAN}-01`;
const NOW = { wallMs: Date.UTC(2026, 10, 21, 12) };
const HOUR_MS = 3_600_000;

const task = (more: Partial<TracedTask> = {}): TracedTask => ({
  id: "0190a000-0000-7000-8000-000000000001",
  name: "demo",
  queue: "default",
  attempt: 2,
  labels: {},
  traceContext: CREATED,
  createdAt: new Date(NOW.wallMs - 1_000),
  waitMs: 100,
  step: null,
  ...more,
});

describe("the span of an attempt", () => {
  test("is named by its task, within the one that created it, by the conventions for messages", () => {
    const span = tracing.process(task(), NOW);
    span?.end({ recorded: "succeeded", error: null });
    expect(spans()).toEqual([
      {
        name: "process demo",
        kind: "CONSUMER",
        traceId: TRACE,
        spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
        parent: SPAN,
        links: [],
        attributes: {
          "messaging.system": "aws_sqs",
          "messaging.operation.name": "process",
          "messaging.operation.type": "process",
          "messaging.destination.name": "default",
          "messaging.message.id": "0190a000-0000-7000-8000-000000000001",
          "taskiq.task.name": "demo",
          "taskiq.task.attempt": 2,
          "taskiq.task.outcome": "succeeded",
        },
        status: "UNSET",
        message: undefined,
        exceptions: [],
      },
    ]);
    expect(span?.traceContext).toBe(`00-${TRACE}-${spans()[0]?.spanId}-01`);
  });

  test("names the run and the step", () => {
    tracing.process(task({ step: { runId: "r-1", key: "load" } }), NOW)?.end({ recorded: "succeeded", error: null });
    expect(spans()[0]?.attributes).toMatchObject({ "taskiq.run.id": "r-1", "taskiq.step.key": "load" });
  });

  test("has the type and the message of a failure, without its stack and without passwords", () => {
    const stack = "RangeError: no route\n    at secret.ts:1";
    const error = { code: "handler_error", type: "RangeError", message: "no route to pg://u:hunter2@h/d", stack };
    tracing.process(task(), NOW)?.end({ recorded: "queued", error });
    expect(spans()[0]).toMatchObject({
      status: "ERROR",
      message: "no route to pg://u:[redacted]@h/d",
      attributes: { "error.type": "RangeError", "taskiq.task.outcome": "queued" },
      exceptions: [{ "exception.type": "RangeError", "exception.message": "no route to pg://u:[redacted]@h/d" }],
    });
    expect(JSON.stringify(spans())).not.toContain("secret.ts");
  });

  test.each([
    [{ recorded: "failed", error: { code: "timeout", type: "TimeoutError", message: "late" } }, "ERROR", "timeout"],
    [{ recorded: "nothing", error: null }, "ERROR", "lease_lost"],
    [{ recorded: "refused", error: null }, "ERROR", "lease_lost"],
    [{ recorded: "unrecorded", error: null }, "ERROR", "unrecorded"],
    [{ recorded: "cancelled", error: { code: "cancelled", type: "Cancelled", message: "" } }, "UNSET", undefined],
    [{ recorded: "queued", error: null }, "UNSET", undefined],
    [{ recorded: "skipped", error: null }, "UNSET", undefined],
  ] as const)("that ends with %j has the status %s and the error %s", (end, status, errorType) => {
    tracing.process(task(), NOW)?.end(end);
    expect(spans()[0]).toMatchObject({ status, attributes: { "taskiq.task.outcome": end.recorded } });
    expect(spans()[0]?.attributes["error.type"]).toBe(errorType);
  });

  test("begins a trace of its own with a link where the task was due more than an hour later", () => {
    const createdAt = new Date(NOW.wallMs - HOUR_MS - 101);
    tracing.process(task({ createdAt }), NOW)?.end({ recorded: "succeeded", error: null });
    expect(spans()[0]).toMatchObject({ parent: undefined, links: [SPAN] });
    expect(spans()[0]?.traceId).not.toBe(TRACE);
  });

  test("stays in its trace where it waited that long for a worker, or is a step", () => {
    const createdAt = new Date(NOW.wallMs - 2 * HOUR_MS);
    for (const one of [{ waitMs: 2 * HOUR_MS }, { step: { runId: "r", key: "k" } }]) {
      tracing.process(task({ createdAt, ...one }), NOW)?.end({ recorded: "succeeded", error: null });
    }
    expect(spans().map(({ traceId }) => traceId)).toEqual([TRACE, TRACE]);
  });

  test("goes on with what a producer put into the labels where the row has no trace, and begins one where there is neither", () => {
    for (const labels of [{ traceparent: CREATED }, { traceparent: "no" }]) {
      tracing.process(task({ traceContext: null, labels }), NOW)?.end({ recorded: "succeeded", error: null });
    }
    expect(spans().map(({ parent }) => parent)).toEqual([SPAN, undefined]);
  });

  test("is the parent of whatever is traced while the handler runs, and not of what comes after", async () => {
    const span = tracing.process(task(), NOW);
    await span?.active(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      expect(activeTraceContext()).toBe(span.traceContext);
      provider.getTracer("handler").startSpan("select").end();
      const created = tracing.create({ kind: "tasks", of: "default", id: "t", count: 1, traceContext: null });
      created.end();
    });
    expect(activeTraceContext()).toBeNull();
    span?.end({ recorded: "succeeded", error: null });
    const [attempt] = spans("process demo");
    expect(spans("select")[0]?.parent).toBe(attempt?.spanId);
    expect(spans("create default")[0]?.parent).toBe(attempt?.spanId);
  });
});

describe("the span of a submission", () => {
  test("is named by its queue; its rows go on with it", () => {
    const span = tracing.create({ kind: "tasks", of: "default", id: "t-1", count: 1, traceContext: CREATED });
    span.end();
    expect(spans()[0]).toMatchObject({
      name: "create default",
      kind: "PRODUCER",
      parent: SPAN,
      status: "UNSET",
      attributes: {
        "messaging.system": "aws_sqs",
        "messaging.operation.type": "create",
        "messaging.destination.name": "default",
        "messaging.message.id": "t-1",
      },
    });
    expect(span.traceContext).toBe(`00-${TRACE}-${spans()[0]?.spanId}-01`);
  });

  test("of many tasks counts them, and of a run names its job", () => {
    tracing.create({ kind: "tasks", of: null, id: "t-1", count: 7, traceContext: null }).end();
    tracing.create({ kind: "run", of: "nightly", id: "r-1", count: 3, traceContext: null }).end();
    expect(spans()).toMatchObject([
      { name: "create", attributes: { "messaging.batch.message_count": 7 } },
      { name: "create nightly", attributes: { "taskiq.run.id": "r-1", "taskiq.job.name": "nightly" } },
    ]);
    expect(spans()[0]?.attributes).not.toHaveProperty("messaging.message.id");
  });

  test("that fails says of what, and the error goes on to the caller", async () => {
    const error = Object.assign(new Error("the database is away"), { code: "database_unavailable" });
    const span = tracing.create({ kind: "tasks", of: "default", id: "t", count: 1, traceContext: null });
    await expect(during(span, () => Promise.reject(error))).rejects.toBe(error);
    expect(spans()[0]).toMatchObject({ status: "ERROR", attributes: { "error.type": "database_unavailable" } });
  });
});

describe("without spans", () => {
  test("a trace passes through, and nothing is made", () => {
    expect(NO_TRACING.create({ kind: "tasks", of: null, id: "t", count: 1, traceContext: CREATED }).traceContext).toBe(
      CREATED,
    );
    expect(NO_TRACING.process(task(), NOW)).toBeNull();
    expect(NO_TRACING.step(task())).toBeNull();
    expect(spans()).toEqual([]);
  });

  test("a tracer that throws costs its spans and nothing else", async () => {
    const broken = createTracing({
      startSpan() {
        throw new Error("no");
      },
      startActiveSpan() {
        throw new Error("no");
      },
    });
    expect(broken.process(task(), NOW)).toBeNull();
    expect(broken.step(task())).toBeNull();
    const request = { method: "GET", route: "/", path: "/", scheme: "http", traceContext: null };
    expect(broken.serve(request)).toBeNull();
    const span = broken.create({ kind: "tasks", of: null, id: "t", count: 1, traceContext: CREATED });
    expect(span.traceContext).toBe(CREATED);
    expect(await during(span, async () => 7)).toBe(7);
  });

  test("the code of another process's attempt is within its trace", () => {
    expect(withinTrace(CREATED, () => trace.getSpanContext(context.active())?.spanId)).toBe(SPAN);
    expect(withinTrace(null, () => trace.getSpanContext(context.active()))).toBeUndefined();
  });
});
