import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  spanContextOf,
  traceContextOf,
  traceContextOfLabels,
  traceContextOfSpan,
  traceHeadersOf,
  traceIdsOf,
  traceparentOf,
} from "../../runtime/tracing/carrier.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const PARENT = `00-${TRACE}-${SPAN}-01`;

describe("a traceparent", () => {
  test.each([
    ["that is sampled", PARENT, PARENT],
    ["that is not sampled", `00-${TRACE}-${SPAN}-00`, `00-${TRACE}-${SPAN}-00`],
    ["of a later version", `cc-${TRACE}-${SPAN}-01-what-comes`, PARENT],
    ["of a later version with flags nobody knows", `cc-${TRACE}-${SPAN}-ff`, PARENT],
    ["sent twice for one trace is the last", `00-${TRACE}-00f067aa0ba902b7-01, ${PARENT}`, PARENT],
  ])("%s is understood", (_what, header, expected) => {
    expect(traceContextOf(header)).toBe(expected);
  });

  test.each<[string, unknown]>([
    ["nothing", undefined],
    ["a number", 7],
    ["an empty text", ""],
    ["a list", [PARENT]],
    ["upper case", PARENT.toUpperCase()],
    ["no trace", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["no span", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["the version that is none", `ff-${TRACE}-${SPAN}-01`],
    ["more than version 00 has", `${PARENT}-more`],
    ["less", `00-${TRACE}-${SPAN}`],
    ["a line feed", `${PARENT}\n`],
    ["different traces", `${PARENT},00-4bf92f3577b34da6a3ce929d0e0e4736-${SPAN}-01`],
    ["a million characters", "0".repeat(1_000_000)],
  ])("that is %s names no trace", (_what, header) => {
    expect(traceContextOf(header)).toBeNull();
  });

  test("keeps the tracestate that is well-formed, and goes on without one that is not", () => {
    expect(traceContextOf(PARENT, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")).toBe(
      `${PARENT} rojo=00f067aa0ba902b7,congo=t61rcWkgMzE`,
    );
    for (const state of ["", "=", "x".repeat(513), `a=${"b".repeat(600)}`, 7, "\u0000=\u0000"]) {
      expect(traceContextOf(PARENT, state)).toBe(PARENT);
    }
  });

  test("whatever comes, what is kept is null or a trace that reads back as itself, without U+0000", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.constant(PARENT)), fc.string({ unit: "binary" }), (header, state) => {
        const kept = traceContextOf(header, state);
        if (kept === null) return;
        const { traceparent, tracestate } = traceHeadersOf(kept);
        expect(traceContextOf(traceparent, tracestate)).toBe(kept);
        expect(kept).not.toContain("\u0000");
      }),
    );
  });
});

describe("a column", () => {
  test("gives the parent of a span, the headers, the ids of a line and what a handler is told", () => {
    const column = `${PARENT} rojo=1`;
    const parent = spanContextOf(column);
    expect(parent).toMatchObject({ traceId: TRACE, spanId: SPAN, traceFlags: 1, isRemote: true });
    expect(parent === null ? null : traceContextOfSpan(parent)).toBe(column);
    expect(traceHeadersOf(column)).toEqual({ traceparent: PARENT, tracestate: "rojo=1" });
    expect(traceIdsOf(column)).toEqual({ traceId: TRACE, spanId: SPAN });
    expect(traceparentOf(column)).toBe(PARENT);
  });

  test.each([null, "", "00-abc-def-01", "anything", ` ${PARENT}`])("with %j names no trace", (column) => {
    expect(spanContextOf(column)).toBeNull();
    expect(traceHeadersOf(column)).toEqual({});
    expect(traceIdsOf(column)).toEqual({});
    expect(traceparentOf(column)).toBeNull();
  });
});

describe("labels that Python's middleware wrote", () => {
  // Message bodies as TaskIQ's OpenTelemetryMiddleware sends them, recorded by running it; the versions stand in the file.
  const { messages } = JSON.parse(readFileSync(new URL("./python-messages.json", import.meta.url), "utf8"));
  const labelsOf = (name: string) =>
    JSON.parse(messages.find((one: { name: string }) => one.name === name)?.body ?? "{}").labels;

  test.each([
    ["a trace begins", PARENT],
    [
      "a trace goes on, with tracestate and baggage",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203332-01 rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    ],
    ["not sampled", `00-${TRACE}-${SPAN}-00`],
  ])("where %s name their parent, and no baggage", (name, expected) => {
    expect(traceContextOfLabels(labelsOf(name))).toBe(expected);
  });

  test("name none where it was not there", () => {
    expect(traceContextOfLabels({ _taskiq_queue_time: 1.5 })).toBeNull();
    expect(traceContextOfLabels({})).toBeNull();
    expect(traceContextOfLabels(null)).toBeNull();
  });
});
