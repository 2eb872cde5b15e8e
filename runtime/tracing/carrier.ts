/**
 * Where a trace goes on, as text: W3C `traceparent` and `tracestate` in the headers of a request, in the labels of a TaskIQ message and in the
 * column `trace_context`. Pure, and the same whether spans are collected here or not: a trace of others passes through.
 *
 * The column holds the traceparent, and behind a blank the tracestate where there is one. `baggage` is never taken over: it is the callers' own,
 * and would go on to everybody whom a handler calls.
 */
import { createTraceState, type SpanContext, TraceFlags } from "@opentelemetry/api";

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE = "0".repeat(32);
const NO_SPAN = "0".repeat(16);
/** Longer than the three of any caller that instruments its requests twice. */
const MAX_HEADER_CHARS = 256;

/**
 * What the column holds for these headers; null where they name no trace, or are not what the W3C describes: then a new trace begins.
 * @param traceparent a header's or label's value, whatever it is
 * @param tracestate likewise; one that is malformed or longer than 512 characters is left out
 */
export function traceContextOf(traceparent: unknown, tracestate?: unknown): string | null {
  if (typeof traceparent !== "string" || traceparent.length > MAX_HEADER_CHARS) return null;
  const parent = lastOfOneTrace(traceparent);
  if (parent === null) return null;
  const state = typeof tracestate === "string" ? createTraceState(tracestate).serialize() : "";
  return state === "" ? parent : `${parent} ${state}`;
}

/**
 * What a producer put into the labels of its message: Python's TaskIQ writes the same two names there (OpenTelemetryMiddleware).
 * @param labels values may be of any type, as other labels of Python's middleware are numbers
 */
export function traceContextOfLabels(labels: Readonly<Record<string, unknown>> | null | undefined): string | null {
  return labels == null ? null : traceContextOf(labels.traceparent, labels.tracestate);
}

/** The traceparent in a column; null where there is none. */
export function traceparentOf(traceContext: string | null): string | null {
  if (traceContext === null) return null;
  const [traceparent = ""] = traceContext.split(" ", 1);
  return parsed(traceparent) === null ? null : traceparent;
}

/** The headers of a request that goes on with this trace. */
export function traceHeadersOf(traceContext: string | null): { traceparent?: string; tracestate?: string } {
  const traceparent = traceparentOf(traceContext);
  if (traceContext === null || traceparent === null) return {};
  const tracestate = traceContext.slice(traceparent.length + 1);
  return { traceparent, ...(tracestate !== "" && { tracestate }) };
}

/** As the parent of a span that is made here; null where a column holds no trace. */
export function spanContextOf(traceContext: string | null): SpanContext | null {
  const { traceparent, tracestate } = traceHeadersOf(traceContext);
  const found = traceparent === undefined ? null : parsed(traceparent);
  if (found === null) return null;
  return { ...found, isRemote: true, ...(tracestate !== undefined && { traceState: createTraceState(tracestate) }) };
}

/** What the column holds for what this span begins. Its ids are valid. */
export function traceContextOfSpan({ traceId, spanId, traceFlags, traceState }: SpanContext): string {
  const traceparent = `00-${traceId}-${spanId}-${hex(traceFlags)}`;
  const state = traceState?.serialize() ?? "";
  return state === "" ? traceparent : `${traceparent} ${state}`;
}

/** The ids for a line of the log. */
export function traceIdsOf(traceContext: string | null): { traceId?: string; spanId?: string } {
  const found = traceContext === null ? null : parsed(traceContext.split(" ", 1)[0] ?? "");
  return found === null ? {} : { traceId: found.traceId, spanId: found.spanId };
}

/** A caller whose requests are instrumented twice sends two, which Node joins; the last is the innermost. Of different traces none is right. */
function lastOfOneTrace(header: string): string | null {
  let last: SpanContext | null = null;
  for (const text of header.split(/[ \t]*,[ \t]*/)) {
    const one = parsed(text);
    if (one === null || (last !== null && one.traceId !== last.traceId)) return null;
    last = one;
  }
  return last === null ? null : traceContextOfSpan(last);
}

function parsed(traceparent: string): SpanContext | null {
  const [, version, traceId = NO_TRACE, spanId = NO_SPAN, flags = "", more] = TRACEPARENT.exec(traceparent) ?? [];
  if (version === undefined || version === "ff" || traceId === NO_TRACE || spanId === NO_SPAN) return null;
  // Later versions may have more at the end, and other flags.
  if (version === "00" && more !== undefined) return null;
  const traceFlags = Number.parseInt(flags, 16) & (version === "00" ? 0xff : TraceFlags.SAMPLED);
  return { traceId, spanId, traceFlags };
}

function hex(flags: number): string {
  return flags.toString(16).padStart(2, "0");
}
