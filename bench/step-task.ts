/** Steps for the benchmark of runs. Their handlers note when they were entered and left: that is what a step waits for, whatever rows say. */

import { z } from "zod";
import { defineTask } from "../runtime/define/index.ts";

/** Milliseconds of this process's clock, in the order of the starts; two numbers a step: entered, left. */
const marks: number[] = [];

/** What was noted since the last call. */
export function takeMarks(): number[] {
  return marks.splice(0);
}

/** A step that takes what its parents returned and returns something small. */
export const step = defineTask({
  name: "bench.step",
  input: z.object({ parents: z.array(z.object({ rows: z.number() })) }),
  output: z.object({ rows: z.number() }),
  run({ parents }) {
    const enteredMs = performance.now();
    const result = { rows: parents.length };
    marks.push(enteredMs, performance.now());
    return result;
  },
});

export const list = defineTask({
  name: "bench.list",
  input: z.object({ size: z.number() }),
  output: z.array(z.number()),
  run: ({ size }) => Array.from({ length: size }, (_, index) => index),
});

export const element = defineTask({
  name: "bench.element",
  input: z.object({ value: z.number() }),
  output: z.number(),
  run: ({ value }) => value,
});

/** Collects a mapped step. */
export const size = defineTask({
  name: "bench.size",
  input: z.object({ values: z.array(z.number()) }),
  output: z.number(),
  run: ({ values }) => values.length,
});
