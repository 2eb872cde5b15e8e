/**
 * The trace of a request: what its headers name goes on in a span of ours, unless an instrumentation of HTTP has made one, and from there into the
 * rows of what the request creates.
 */
import type { FastifyRequest } from "fastify";
import { traceContextOf, traceIdsOf } from "../tracing/carrier.ts";
import { activeTraceContext, type Tracing } from "../tracing/tracing.ts";
import type { App } from "./app.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The trace that tasks and runs go on with which this request creates; null: there is none. */
    traceContext: string | null;
    /** Runs what it is given within the span of this request. Null: it has none. */
    withinSpan: (<T>(work: () => T) => T) | null;
  }
}

/** Asked every few seconds by whoever watches over the process. */
const PROBES: ReadonlySet<string> = new Set(["/livez", "/readyz", "/health", "/metrics"]);

/** Before any other hook: what these do belongs to the span. */
export function traceRequests(app: App, tracing: Tracing): void {
  app.decorateRequest("traceContext", null);
  app.decorateRequest("withinSpan", null);
  app.addHook("onRequest", (request, reply, done) => {
    const { traceparent, tracestate } = request.headers;
    const traceContext = traceContextOf(traceparent, tracestate);
    const span = PROBES.has(request.routeOptions.url ?? "") ? null : tracing.serve(servedOf(request, traceContext));
    request.traceContext = span?.traceContext ?? activeTraceContext() ?? traceContext;
    if (span === null) return done();
    // A body is read by listeners of the socket, which are nobody's: what follows it is brought back here.
    request.withinSpan = span.active;
    reply.raw.once("close", () => span.end(reply.raw.headersSent ? reply.raw.statusCode : null));
    span.active(done);
  });
  app.addHook("preValidation", (request, _reply, done) => {
    if (request.withinSpan === null) done();
    else request.withinSpan(done);
  });
}

/** What every line of the log about a request carries. */
export function requestIds(request: FastifyRequest): { requestId: string; traceId?: string; spanId?: string } {
  return { requestId: request.id, ...traceIdsOf(request.traceContext) };
}

function servedOf(request: FastifyRequest, traceContext: string | null) {
  const { method, protocol: scheme, routeOptions } = request;
  // Without the query, which is the caller's own.
  const [path = ""] = request.url.split("?", 1);
  return { method, route: routeOptions.url, path, scheme, traceContext };
}
