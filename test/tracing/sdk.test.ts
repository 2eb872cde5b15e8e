/** What is started by which settings. In one file by itself: what is registered is the process's. */
import { context, trace } from "@opentelemetry/api";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock as clock } from "../../runtime/clock.ts";
import { openLog } from "../../runtime/log.ts";
import { startTracing, type TracingConfig } from "../../runtime/tracing/sdk.ts";
import { NO_TRACING } from "../../runtime/tracing/tracing.ts";
import { type Collector, startCollector } from "./collector.ts";

const lines: { event: string; error?: string }[] = [];
const log = openLog({ level: "info", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });
const parts = { role: "worker", version: "1.2.3", log, clock };
let collector: Collector | undefined;

afterEach(async () => {
  trace.disable();
  context.disable();
  lines.length = 0;
  await collector?.close();
});

async function configured(more: Partial<TracingConfig> = {}): Promise<TracingConfig> {
  collector = await startCollector();
  const url = `${collector.url}/v1/traces`;
  return { exporter: "otlp", url, serviceName: null, sampler: "parentbased_always_on", samplerRatio: 1, ...more };
}

const creation = { kind: "tasks", of: "default", id: "t", count: 1, traceContext: null } as const;

/** How many of so many traces are sent. */
async function sent(config: TracingConfig, count: number): Promise<number> {
  const { tracing, stop } = await startTracing(config, parts);
  for (let index = 0; index < count; index++) tracing.create(creation).end();
  await stop();
  return collector?.spans.length ?? 0;
}

describe("the SDK", () => {
  test("is not there where nothing asks for it", async () => {
    const { tracing, stop } = await startTracing(null, parts);
    expect(tracing).toBe(NO_TRACING);
    expect(trace.getTracer("any").startSpan("x").isRecording()).toBe(false);
    await stop();
    expect(lines).toEqual([]);
  });

  test("sends what is still collected when it is stopped, under the name of the role", async () => {
    expect(await sent(await configured(), 3)).toBe(3);
    expect(collector?.spans[0]).toMatchObject({ name: "create default", service: "taskiq-aws-worker", parent: "" });
    expect(lines.map(({ event }) => event)).toEqual(["tracing.started"]);
  });

  test("has the name that it is given", async () => {
    await sent(await configured({ serviceName: "orders" }), 1);
    expect(collector?.spans[0]?.service).toBe("orders");
  });

  test.each([
    ["always_on", 200, 200],
    ["always_off", 0, 0],
    ["parentbased_always_off", 0, 0],
    ["traceidratio", 20, 180],
    ["parentbased_traceidratio", 20, 180],
  ])("with the sampler %s sends its share of traces", async (sampler, least, most) => {
    const count = await sent(await configured({ sampler, samplerRatio: 0.5 }), 200);
    expect(count).toBeGreaterThanOrEqual(least);
    expect(count).toBeLessThanOrEqual(most);
  });

  test("takes the default in place of a sampler that it does not know, and says so", async () => {
    expect(await sent(await configured({ sampler: "xray" }), 2)).toBe(2);
    expect(lines.find(({ event }) => event === "tracing.failed")?.error).toMatch(
      /^OTEL_TRACES_SAMPLER: expected one of always_on, .* got "xray"; parentbased_always_on is used\.$/,
    );
  });

  test("that the process was started with is the one that is used", async () => {
    const config = await configured();
    const first = await startTracing(config, parts);
    const second = await startTracing(null, parts);
    second.tracing.create(creation).end();
    await second.stop();
    await first.stop();
    expect(collector?.spans).toHaveLength(1);
  });
});
