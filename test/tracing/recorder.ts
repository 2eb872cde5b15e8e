/** Spans that are kept in memory, and what a test reads off them. One a file: the context manager is the process's. */
import { type Attributes, context, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, afterEach, beforeAll } from "vitest";
import { createTracing } from "../../runtime/tracing/spans.ts";
import type { Tracing } from "../../runtime/tracing/tracing.ts";

export type Seen = {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: string | undefined;
  readonly links: readonly string[];
  readonly attributes: Attributes;
  /** `ERROR`, `UNSET`. */
  readonly status: string;
  readonly message: string | undefined;
  readonly exceptions: readonly Attributes[];
};

export type Recorder = {
  readonly tracing: Tracing;
  /** A tracer as a handler's own instrumentation has one. */
  readonly provider: TracerProvider;
  /** Spans that have ended, in that order; of one name, or all. */
  spans(name?: string): Seen[];
};

export function useRecorder(): Recorder {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  });
  afterEach(() => exporter.reset());
  afterAll(async () => {
    context.disable();
    await provider.shutdown();
  });
  return {
    tracing: createTracing(provider.getTracer("taskiq-aws")),
    provider,
    spans: (name) =>
      exporter
        .getFinishedSpans()
        .map(seen)
        .filter((span) => name === undefined || span.name === name),
  };
}

function seen(span: ReadableSpan): Seen {
  const { traceId, spanId } = span.spanContext();
  return {
    name: span.name,
    kind: SpanKind[span.kind],
    traceId,
    spanId,
    parent: span.parentSpanContext?.spanId,
    links: span.links.map(({ context: linked }) => linked.spanId),
    attributes: span.attributes,
    status: SpanStatusCode[span.status.code],
    message: span.status.message,
    exceptions: span.events.map(({ attributes = {} }) => attributes),
  };
}
