/**
 * The spans, by the semantic conventions for messaging and HTTP. One of each kind a request, a submission and an attempt: what happens between
 * them, a message or a row, has none. Tracing is an observer: whatever goes wrong here costs a span and nothing else.
 */
import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { describeError, type ErrorDescription } from "../describe-error.ts";
import type { TaskError } from "../model/task.ts";
import { redactText } from "../redact.ts";
import { spanContextOf, traceContextOfLabels, traceContextOfSpan } from "./carrier.ts";
import { type AttemptSpan, type Creation, NO_TRACING, type TracedTask, type Tracing } from "./tracing.ts";

/** What keeps traces takes their spans for one tree only when they come close together: a task that was due later begins a trace of its own. */
const ONE_TRACE_MS = 3_600_000;

export function createTracing(tracer: Tracer): Tracing {
  return {
    serve: (request) =>
      orElse(null, () => {
        // Made by an instrumentation of HTTP: there is one span for a request.
        if (activeSpan() !== null) return null;
        const { method, route, path, scheme } = request;
        const span = tracer.startSpan(
          route === undefined ? method : `${method} ${route}`,
          {
            kind: SpanKind.SERVER,
            attributes: {
              "http.request.method": method,
              ...(route !== undefined && { "http.route": route }),
              "url.path": path,
              "url.scheme": scheme,
            },
          },
          contextOf(spanContextOf(request.traceContext)),
        );
        return {
          ...carriedBy(span),
          end: (status: number | null) =>
            attempted(() => {
              if (status !== null) span.setAttribute("http.response.status_code", status);
              if (status === null || status >= 500) fail(span, status === null ? "closed" : String(status));
              span.end();
            }),
        };
      }),

    create: (creation) =>
      orElse(NO_TRACING.create(creation), () => {
        const parent = activeSpan() === null ? contextOf(spanContextOf(creation.traceContext)) : context.active();
        const { name, attributes } = described(creation);
        const span = tracer.startSpan(name, { kind: SpanKind.PRODUCER, attributes }, parent);
        return {
          traceContext: traceContextOfSpan(span.spanContext()),
          end: (error) =>
            attempted(() => {
              if (error !== undefined) failWith(span, describeError(error));
              span.end();
            }),
        };
      }),

    process: (task, { wallMs }) =>
      orElse(null, () => {
        const created = spanContextOf(task.traceContext ?? traceContextOfLabels(task.labels));
        const apart = created !== null && startsLater(task, wallMs);
        const span = tracer.startSpan(
          `process ${task.name}`,
          {
            kind: SpanKind.CONSUMER,
            attributes: { ...messaging("process"), ...destination(task.queue, task.id), ...factsOf(task) },
            ...(apart && { links: [{ context: created }] }),
          },
          contextOf(apart ? null : created),
        );
        return attemptSpan(span);
      }),

    step: (task) =>
      orElse(null, () => {
        const parent = activeSpan() === null ? contextOf(spanContextOf(task.traceContext)) : context.active();
        return attemptSpan(tracer.startSpan(`step ${task.name}`, { attributes: factsOf(task) }, parent));
      }),
  };
}

/** A step is due when the steps before it have ended: that is no delay, and a run is one tree. */
function startsLater({ step, createdAt, waitMs }: TracedTask, wallMs: number): boolean {
  return step === null && wallMs - waitMs - createdAt.getTime() > ONE_TRACE_MS;
}

function described({ kind, of, id, count }: Creation): { readonly name: string; readonly attributes: Attributes } {
  if (kind === "run") {
    return {
      name: `create ${of ?? "run"}`,
      attributes: {
        ...messaging("create"),
        "taskiq.run.id": id,
        ...(of !== null && { "taskiq.job.name": of }),
        "messaging.batch.message_count": count,
      },
    };
  }
  return {
    name: of === null ? "create" : `create ${of}`,
    attributes: {
      ...messaging("create"),
      ...(of !== null && { "messaging.destination.name": of }),
      ...(count === 1 ? { "messaging.message.id": id } : { "messaging.batch.message_count": count }),
    },
  };
}

function messaging(operation: "create" | "process"): Attributes {
  return {
    "messaging.system": "aws_sqs",
    "messaging.operation.name": operation,
    "messaging.operation.type": operation,
  };
}

function destination(queue: string, messageId: string): Attributes {
  return { "messaging.destination.name": queue, "messaging.message.id": messageId };
}

function factsOf({ name, attempt, step }: TracedTask): Attributes {
  return {
    "taskiq.task.name": name,
    "taskiq.task.attempt": attempt,
    ...(step !== null && { "taskiq.run.id": step.runId, "taskiq.step.key": step.key }),
  };
}

function attemptSpan(span: Span): AttemptSpan {
  return {
    ...carriedBy(span),
    end: ({ recorded, error }) =>
      attempted(() => {
        span.setAttribute("taskiq.task.outcome", recorded);
        if (recorded === "nothing" || recorded === "refused") fail(span, "lease_lost");
        else if (recorded === "unrecorded") fail(span, "unrecorded");
        else if (error !== null && recorded !== "cancelled") failWith(span, error);
        span.end();
      }),
  };
}

function carriedBy(span: Span): Pick<AttemptSpan, "traceContext" | "active"> {
  const within = trace.setSpan(ROOT_CONTEXT, span);
  return {
    traceContext: traceContextOfSpan(span.spanContext()),
    active: (work) => context.with(within, work),
  };
}

/** Type and message, without the stack: that stands in the row and in the log. */
function failWith(span: Span, { code, type, message }: ErrorDescription | TaskError): void {
  const told = redactText(message);
  span.recordException({ name: type, message: told });
  // Few different ones: what a library calls its errors' codes is not among them.
  fail(span, code === undefined || code === "handler_error" ? type : code, told);
}

function fail(span: Span, errorType: string, message?: string): void {
  span.setAttribute("error.type", errorType);
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) });
}

function contextOf(parent: SpanContext | null): Context {
  return parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
}

function activeSpan(): SpanContext | null {
  const found = trace.getSpanContext(context.active());
  return found !== undefined && isSpanContextValid(found) ? found : null;
}

function orElse<T>(otherwise: T, work: () => T): T {
  try {
    return work();
  } catch {
    // Somebody else's SDK may be registered: a task must not fail because of it.
    return otherwise;
  }
}

function attempted(work: () => void): void {
  orElse(undefined, work);
}
