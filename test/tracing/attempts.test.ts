/** The spans of a real worker's attempts, and what their handlers go on with. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { context, trace } from "@opentelemetry/api";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { systemClock } from "../../runtime/clock.ts";
import type { Context } from "../../runtime/define/context.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { enqueue } from "../../runtime/enqueue/index.ts";
import { publish } from "../../runtime/enqueue/publish.ts";
import { createProcessGroups } from "../../runtime/isolation/groups.ts";
import { DEFAULT_QUEUE_OPTIONS } from "../../runtime/model/queue.ts";
import { commandTask } from "../../runtime/tasks/command.ts";
import { activeTraceContext } from "../../runtime/tracing/tracing.ts";
import { loggingMiddleware } from "../../runtime/worker/logging.ts";
import { usePools } from "../isolation/processes.ts";
import * as apart from "../isolation/tasks/apart.ts";
import { readTask, readTasks, type TaskColumns } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { useRig } from "../worker/rig.ts";
import { useRecorder } from "./recorder.ts";

const rig = useRig();
const poolOf = usePools();
const { tracing, spans } = useRecorder();

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const LIMITS = { inlinePayloadBytes: 65_536, maxDelayMs: 1_000, idempotencyTtlMs: 1_000 };
const CREATED = `00-${TRACE}-${SPAN}-01`;

/** What handlers saw, in their order. */
const useHandler = (run: (ctx: Context) => unknown, more: { graceMs?: number; timeoutMs?: number } = {}) =>
  defineTask({ name: "demo", input: z.unknown(), run: (_input, ctx) => run(ctx), ...more });

async function submitOne(columns: TaskColumns = {}): Promise<string> {
  const [id] = await rig.submit([{ name: "demo", traceContext: CREATED, ...columns }]);
  return id ?? "";
}

const finished = (id: string) =>
  until(async () => {
    const row = await readTask(rig.database, id);
    return row.finished && row;
  });

describe("a worker that makes spans", () => {
  test("makes one for each attempt of a task, all within the span that created it", async () => {
    const seen: (string | null)[] = [];
    const demo = useHandler((ctx) => {
      seen.push(ctx.traceparent);
      if (ctx.attempt < 3) throw new RangeError("not yet");
    });
    rig.start({ tasks: [demo], tracing });
    const id = await submitOne({ maxAttempts: 5, backoffMs: 0 });
    for (const attempt of [1, 2]) {
      await until(async () => (await readTask(rig.database, id)).failures === attempt);
      await rig.ring([id]);
    }
    await finished(id);
    const attempts = await until(() => spans("process demo").length === 3 && spans("process demo"));
    expect(attempts.map(({ attributes }) => attributes["taskiq.task.attempt"])).toEqual([1, 2, 3]);
    expect(attempts.map(({ attributes }) => attributes["taskiq.task.outcome"])).toEqual([
      "queued",
      "queued",
      "succeeded",
    ]);
    expect(attempts.map(({ status }) => status)).toEqual(["ERROR", "ERROR", "UNSET"]);
    for (const { parent, traceId, attributes } of attempts) {
      expect({ parent, traceId, id: attributes["messaging.message.id"] }).toEqual({ parent: SPAN, traceId: TRACE, id });
    }
    expect(seen).toEqual(attempts.map(({ spanId }) => `00-${TRACE}-${spanId}-01`));
  });

  test("runs the handler and its commit within it, and what they enqueue goes on there", async () => {
    const active: (string | null)[] = [];
    const demo = defineTask({
      name: "demo",
      input: z.unknown(),
      async run(_input, ctx) {
        await new Promise((resolve) => setImmediate(resolve));
        active.push(activeTraceContext(), ctx.traceparent);
      },
      async commit(tx) {
        active.push(activeTraceContext());
        await tx.query("select 1");
      },
    });
    const child = defineTask({ name: "child", input: z.unknown(), run: async () => {} });
    const published = { queues: [{ name: "default", options: DEFAULT_QUEUE_OPTIONS }], ...LIMITS };
    await publish(rig.database, { registry: createRegistry([child]), ...published }, systemClock);
    const client = new pg.Client(rig.databaseUrl);
    await client.connect();
    onTestFinished(() => client.end());
    const parent = defineTask({
      name: "parent",
      input: z.unknown(),
      run: async () => await enqueue(client, child, null),
    });
    rig.start({ tasks: [demo, parent], tracing });
    await rig.submit([{ name: "demo", traceContext: CREATED }]);
    const [parentId] = await rig.submit([{ name: "parent", traceContext: CREATED }]);
    await finished(parentId ?? "");
    const [span, other] = await until(() => {
      const found = [spans("process demo")[0], spans("process parent")[0]];
      return !found.includes(undefined) && found;
    });
    const expected = `00-${TRACE}-${span?.spanId}-01`;
    expect(active).toEqual([expected, expected, expected]);
    const enqueued = (await readTasks(rig.database)).find((row) => row.name === "child");
    expect(enqueued?.trace_context).toBe(`00-${TRACE}-${other?.spanId}-01`);
  });

  test("ends it also where the handler is left behind, and where the lease is lost", async () => {
    const handlers = new Map<string, () => void>();
    const demo = useHandler((ctx) => new Promise<void>((resolve) => handlers.set(ctx.taskId, resolve)));
    onTestFinished(() => {
      for (const end of handlers.values()) end();
    });
    rig.start({ tasks: [demo], tracing, settings: { extendIntervalMs: 50 } });
    const deaf = await submitOne({ timeoutMs: 50, graceMs: 50, maxAttempts: 1 });
    const lost = await submitOne();
    await until(() => handlers.has(lost));
    // As if the reaper had given it to somebody else.
    await rig.database.query(
      { name: "test-take-over", text: "update taskiq.task set attempt = attempt + 1 where id = $1" },
      [lost],
    );
    const byId = await until(() => {
      const found = new Map(spans().map((span) => [span.attributes["messaging.message.id"], span]));
      if (found.has(deaf)) handlers.get(lost)?.();
      return found.size === 2 && found;
    });
    expect(byId.get(deaf)).toMatchObject({ status: "ERROR", attributes: { "error.type": "timeout" } });
    expect(byId.get(lost)).toMatchObject({ status: "ERROR", attributes: { "error.type": "lease_lost" } });
  });

  test("writes the ids of the span into its lines, the handler's own among them", async () => {
    const demo = useHandler((ctx) => ctx.log.info("hello"));
    rig.start({ tasks: [demo], tracing, middlewares: [loggingMiddleware(rig.log, true)] });
    await finished(await submitOne());
    const [span] = await until(() => spans("process demo").length === 1 && spans("process demo"));
    const ids = { traceId: TRACE, spanId: span?.spanId };
    await until(() => rig.events("task.succeeded").length === 1);
    expect(rig.events("task.started", "task.log", "task.succeeded")).toMatchObject([ids, ids, ids]);
  });
});

describe("a process of its own", () => {
  test("is told the trace by its context", async () => {
    rig.start({ tasks: Object.values(apart), processes: poolOf({ log: rig.log }), tracing });
    const id = await submitOne({ name: "apart.traced", isolation: "process", input: "null", maxAttempts: 1 });
    const row = await until(async () => {
      const found = await readTask(rig.database, id);
      return found.finished && found;
    });
    const [span] = await until(() => spans().length === 1 && spans());
    const traceparent = `00-${TRACE}-${span?.spanId}-01`;
    expect(JSON.parse(row.result ?? "null")).toEqual({ traceparent });
  });

  test("of a command is told by TRACEPARENT, unless the caller gives another", async () => {
    const groups = createProcessGroups();
    onTestFinished(groups.close);
    const folder = mkdtempSync(join(tmpdir(), "trace-"));
    const file = (name: string) => join(folder, name);
    const envNames = ["TRACEPARENT"];
    rig.start({ tasks: [commandTask({ groups, environment: process.env, inheritedNames: [], envNames })], tracing });
    const write = (name: string, env?: object) => ({
      name: "command",
      isolation: "command" as const,
      traceContext: CREATED,
      input: JSON.stringify({ argv: ["sh", "-c", `printf %s "$TRACEPARENT" > ${file(name)}`], ...(env && { env }) }),
    });
    const ids = await rig.submit([write("own"), write("given", { TRACEPARENT: "mine" })]);
    await Promise.all(ids.map(finished));
    await until(() => spans().length === 2);
    const own = spans().find((span) => span.attributes["messaging.message.id"] === ids[0]);
    expect(readFileSync(file("own"), "utf8")).toBe(`00-${TRACE}-${own?.spanId}-01`);
    expect(readFileSync(file("given"), "utf8")).toBe("mine");
  });
});

describe("a worker that makes none", () => {
  test("tells the handler the trace of the row, and of a row without a trace none", async () => {
    const seen: unknown[] = [];
    const demo = useHandler((ctx) => {
      seen.push(ctx.traceparent, trace.getSpan(context.active()));
    });
    rig.start({ tasks: [demo], middlewares: [loggingMiddleware(rig.log, true)] });
    await finished(await submitOne({ traceContext: `${CREATED} rojo=1` }));
    await finished(await submitOne({ traceContext: null }));
    await finished(await submitOne({ traceContext: "00-abc" }));
    expect(seen).toEqual([CREATED, undefined, null, undefined, null, undefined]);
    expect(spans()).toEqual([]);
    await until(() => rig.events("task.succeeded").length === 3);
    const [first, second] = rig.events("task.succeeded");
    expect(first).toMatchObject({ traceId: TRACE, spanId: SPAN });
    expect(second).not.toHaveProperty("traceId");
  });
});
