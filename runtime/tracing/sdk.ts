/**
 * Collects spans and sends them on, where the environment asks for it by the names that OpenTelemetry gives its variables; its packages are loaded
 * then and only then. A process that was started with an SDK of its own (`node --import`) keeps that one.
 *
 * What concerns the exporter alone, such as OTEL_EXPORTER_OTLP_HEADERS and _TIMEOUT, it reads from the environment by itself, as OTEL_RESOURCE_ATTRIBUTES.
 */
import { context, DiagLogLevel, diag, ProxyTracerProvider, type TracerProvider, trace } from "@opentelemetry/api";
import type { Sampler } from "@opentelemetry/sdk-trace";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { createTracing } from "./spans.ts";
import { NO_TRACING, type Tracing } from "./tracing.ts";

export const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;
type SamplerName = (typeof SAMPLERS)[number];

export type TracingConfig = {
  readonly exporter: "otlp" | "console";
  /** Where spans are posted. Null: the exporter's default, http://localhost:4318/v1/traces. */
  readonly url: string | null;
  /** `service.name`. Null: taskiq-aws and the role. */
  readonly serviceName: string | null;
  /** As OTEL_TRACES_SAMPLER has it; one that is unknown here is said in the log, and the default taken. */
  readonly sampler: string;
  /** From 0 to 1, for the samplers by ratio. */
  readonly samplerRatio: number;
};

export type TracingParts = {
  readonly role: string;
  readonly version: string;
  readonly log: Log;
  readonly clock: Clock;
};

export type StartedTracing = {
  readonly tracing: Tracing;
  /** Sends what was collected, at most 3 s long. Nothing is collected afterwards. */
  stop(): Promise<void>;
};

const SCOPE = "taskiq-aws";
const STOP_MS = 3_000;
/** While a collector is away there is a message for each batch that is lost. */
const SAY_AGAIN_MS = 60_000;

/** @param config null: nothing is collected here */
export async function startTracing(config: TracingConfig | null, parts: TracingParts): Promise<StartedTracing> {
  if (isRegistered(trace.getTracerProvider())) return { tracing: tracingOf(parts), stop: async () => {} };
  if (config === null) return { tracing: NO_TRACING, stop: async () => {} };
  const { log, clock } = parts;
  sayProblems(log, clock);
  const provider = await openProvider(config, parts);
  log.info("tracing.started", { exporter: config.exporter, sampler: config.sampler });
  return {
    tracing: tracingOf(parts),
    async stop() {
      const done = new AbortController();
      const overdue = clock.after(STOP_MS, done.signal).then(
        () => `expected to send the last spans within ${STOP_MS} ms: they are lost`,
        () => null,
      );
      const stopped = provider.shutdown().then(
        () => null,
        (error: unknown) => error,
      );
      const error = await Promise.race([stopped, overdue]);
      done.abort();
      if (error !== null) log.warn("tracing.failed", { error });
    },
  };
}

async function openProvider(config: TracingConfig, { role, version, log }: TracingParts) {
  const [sdk, resources, { AsyncLocalStorageContextManager }] = await Promise.all([
    import("@opentelemetry/sdk-trace"),
    import("@opentelemetry/resources"),
    import("@opentelemetry/context-async-hooks"),
  ]);
  const { defaultResource, detectResources, resourceAttributesEnvDetector, resourceFromAttributes } = resources;
  const named = resourceFromAttributes({ "service.name": `${SCOPE}-${role}`, "service.version": version });
  const ofEnvironment = detectResources({ detectors: [resourceAttributesEnvDetector] });
  const ofConfig = resourceFromAttributes(config.serviceName === null ? {} : { "service.name": config.serviceName });
  const provider = new sdk.TracerProvider({
    // What comes later wins.
    resource: defaultResource().merge(named).merge(ofEnvironment).merge(ofConfig),
    sampler: samplerOf(config, sdk, log),
    spanProcessors: [await processorOf(config, sdk)],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(provider);
  return provider;
}

type Sdk = typeof import("@opentelemetry/sdk-trace");

async function processorOf({ exporter, url }: TracingConfig, sdk: Sdk) {
  if (exporter === "console") return new sdk.SimpleSpanProcessor({ exporter: new sdk.ConsoleSpanExporter() });
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-proto");
  return new sdk.BatchSpanProcessor({ exporter: new OTLPTraceExporter(url === null ? {} : { url }) });
}

function samplerOf({ sampler, samplerRatio }: TracingConfig, sdk: Sdk, log: Log) {
  const name = SAMPLERS.find((known) => known === sampler);
  if (name === undefined) {
    const detail = `OTEL_TRACES_SAMPLER: expected one of ${SAMPLERS.join(", ")}, got ${JSON.stringify(sampler)}; parentbased_always_on is used.`;
    log.warn("tracing.failed", { error: detail });
  }
  return made(name ?? "parentbased_always_on");

  function made(which: SamplerName): Sampler {
    switch (which) {
      case "always_on":
        return new sdk.AlwaysOnSampler();
      case "always_off":
        return new sdk.AlwaysOffSampler();
      case "traceidratio":
        return new sdk.TraceIdRatioBasedSampler(samplerRatio);
      case "parentbased_always_on":
        return new sdk.ParentBasedSampler({ root: made("always_on") });
      case "parentbased_always_off":
        return new sdk.ParentBasedSampler({ root: made("always_off") });
      case "parentbased_traceidratio":
        return new sdk.ParentBasedSampler({ root: made("traceidratio") });
    }
  }
}

function tracingOf({ version }: TracingParts): Tracing {
  return createTracing(trace.getTracer(SCOPE, version));
}

/** Whether somebody has registered an SDK in this process. */
function isRegistered(provider: TracerProvider): boolean {
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(SCOPE) !== undefined;
}

/** What the SDK cannot do: its collector is away, for example. It would print it, or say nothing. */
function sayProblems(log: Log, clock: Clock): void {
  let saidMs = Number.NEGATIVE_INFINITY;
  const say = (error: string): void => {
    const nowMs = clock.nowMs();
    if (nowMs - saidMs < SAY_AGAIN_MS) return;
    saidMs = nowMs;
    log.warn("tracing.failed", { error });
  };
  const silent = (): void => {};
  const logger = { error: say, warn: say, info: silent, debug: silent, verbose: silent };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}
