/** Traces of the whole system: an API and a worker, each a process of its own, that post their spans to a collector. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, createClient } from "../../runtime/client/index.ts";
import type { Step } from "../../runtime/model/graph.ts";
import { type Api, type Role, type System, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { until } from "../support/until.ts";
import { type CollectedSpan, type Collector, startCollector } from "../tracing/collector.ts";
import { PLAIN, ref } from "./run-work.ts";

const CALLER = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
const STEPS: Step[] = [
  { key: "one", task: PLAIN, input: {} },
  { key: "two", task: PLAIN, input: { refs: [ref("one")], failures: 1 } },
  { key: "three", task: PLAIN, input: { refs: [ref("two")] } },
];

describe("the trace of a run", { timeout: TIMES.testTimeoutMs }, () => {
  let collector: Collector;
  let system: System;
  let api: Api;
  let worker: Role;
  let client: Client;

  beforeAll(async () => {
    collector = await startCollector();
    system = await startSystem({
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
        OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=acme",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
      },
    });
    [api, worker] = await Promise.all([system.startApi(), system.startWorker("worker-1")]);
    client = createClient({ baseUrl: api.url });
  });
  afterAll(async () => {
    await system.stop();
    await collector.close();
  });

  async function startRun(mode: "orchestrated" | "simple"): Promise<string> {
    const answer = await fetch(`${api.url}/v1/runs`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: `00-${CALLER.traceId}-${CALLER.spanId}-01`,
      },
      body: JSON.stringify({ graph: { steps: STEPS }, mode }),
    });
    const { run_id: runId } = (await answer.json()) as { run_id: string };
    expect((await client.runs.wait(runId, { timeoutMs: 30_000 })).state).toBe("succeeded");
    return runId;
  }

  /** `parent > child`, in any order; what begins a trace stands alone. */
  function treeOf(spans: readonly CollectedSpan[]): string[] {
    const names = new Map(spans.map(({ spanId, name }) => [spanId, name]));
    const shown = ({ name, parent, attributes }: CollectedSpan) => {
      const { "taskiq.step.key": step = "", "taskiq.task.attempt": attempt = "" } = attributes;
      return `${parent === CALLER.spanId ? "caller" : (names.get(parent) ?? `? ${parent}`)} > ${name} ${step} ${attempt}`.trim();
    };
    return spans.map(shown).toSorted();
  }

  const ofRun = (runId: string) => collector.spans.filter(({ attributes }) => attributes["taskiq.run.id"] === runId);

  it("is one tree, from the POST to the end of its three steps, with a span for each attempt", async () => {
    const runId = await startRun("orchestrated");
    const created = await until(() => ofRun(runId).find(({ name }) => name === "create run"), { deadlineMs: 20_000 });
    await until(() => ofRun(runId).length === 5, { deadlineMs: 20_000 });
    const served = collector.spans.filter(({ spanId }) => spanId === created.parent);
    const all = [...served, ...ofRun(runId)];
    expect(treeOf(all)).toEqual([
      "POST /v1/runs > create run",
      "caller > POST /v1/runs",
      `create run > process ${PLAIN} one 1`,
      `create run > process ${PLAIN} three 1`,
      `create run > process ${PLAIN} two 1`,
      `create run > process ${PLAIN} two 2`,
    ]);
    expect(new Set(all.map(({ traceId }) => traceId))).toEqual(new Set([CALLER.traceId]));
    expect(new Set(all.map(({ service }) => service))).toEqual(new Set(["taskiq-aws-api", "taskiq-aws-worker"]));
    expect(collector.headers[0]).toMatchObject({ path: "/v1/traces", "x-tenant": "acme" });
    const lines = [...worker.log("task.succeeded"), ...worker.log("task.retried")].filter(
      (line) => line.runId === runId,
    );
    expect(lines.map(({ step, attempt }) => `${step} ${attempt}`).toSorted()).toEqual([
      "one 1",
      "three 1",
      "two 1",
      "two 2",
    ]);
    const ids = new Set(all.map(({ spanId }) => spanId));
    for (const { traceId, spanId } of lines) expect([traceId, ids.has(String(spanId))]).toEqual([CALLER.traceId, true]);
  });

  it("has a span for each try of a step in the mode simple as well", async () => {
    const runId = await startRun("simple");
    const all = await until(() => ofRun(runId).length === 6 && ofRun(runId), { deadlineMs: 20_000 });
    expect(treeOf(all).slice(1)).toEqual([
      "create run > process taskiq.simple_run * 1",
      `process taskiq.simple_run > step ${PLAIN} one 1`,
      `process taskiq.simple_run > step ${PLAIN} three 1`,
      `process taskiq.simple_run > step ${PLAIN} two 1`,
      `process taskiq.simple_run > step ${PLAIN} two 2`,
    ]);
  });

  it("is whole when its processes are told to stop right after it", async () => {
    const runId = await startRun("orchestrated");
    api.signal("SIGTERM");
    worker.signal("SIGTERM");
    const exits = await Promise.all([api.exited, worker.exited]);
    expect(exits.map(({ code }) => code)).toEqual([0, 0]);
    expect(ofRun(runId)).toHaveLength(5);
    expect(api.log("tracing.failed")).toEqual([]);
  });
});

describe("without a collector", { timeout: TIMES.testTimeoutMs }, () => {
  let system: System;

  beforeAll(async () => {
    system = await startSystem();
  });
  afterAll(() => system.stop());

  it("work goes on, the end is not held up, and the log says what is lost", async () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" };
    const [api, worker] = await Promise.all([system.startApi(env), system.startWorker("worker-1", env)]);
    const client = createClient({ baseUrl: api.url });
    const { runId } = await client.runs.start({ graph: { steps: STEPS } });
    expect((await client.runs.wait(runId, { timeoutMs: 30_000 })).state).toBe("succeeded");
    worker.signal("SIGTERM");
    api.signal("SIGTERM");
    const exits = await Promise.all([api.exited, worker.exited]);
    expect(exits.map(({ code }) => code)).toEqual([0, 0]);
    expect(worker.log("tracing.failed")).toHaveLength(1);
  });
});
