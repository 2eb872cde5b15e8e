/** The demo job `diamond`: 30 steps that fan out from one and in to one again. What comes out is the number of ways through it. */

import { z } from "zod";
import { defineJob, defineTask, type Ref } from "../define/index.ts";
import { take } from "./numbers.ts";

/** Steps side by side, layer for layer. */
const LAYERS = [1, 4, 10, 10, 4, 1] as const;

const work = defineTask({
  name: "diamond.work",
  input: z.strictObject({
    /** How long it takes, in milliseconds. */
    ms: z.int().min(0).max(10_000),
    ways: z.array(z.int()),
  }),
  output: z.object({ ways: z.int() }),
  async run({ ms, ways }, ctx) {
    await take(ms, ctx);
    return { ways: ways.reduce((sum, number) => sum + number, 0) };
  },
});

export const DIAMOND_TASKS = [work];

export const diamond = defineJob({
  name: "diamond",
  description: "30 steps that fan out and in.",
  input: z
    .strictObject({
      /** How long each step takes, in milliseconds. */
      step_ms: z.int().min(0).max(10_000).default(150),
    })
    .prefault({}),
  build(job, input) {
    let above: Ref<{ readonly ways: number }>[] = [];
    for (const [layer, width] of LAYERS.entries()) {
      above = Array.from({ length: width }, (_, place) => {
        const key = width === 1 ? (layer === 0 ? "source" : "sink") : `layer-${layer}-${place + 1}`;
        const parents = above.filter((_, parent) => touch(parent, above.length, place, width));
        const ways = layer === 0 ? [1] : parents.map((parent) => parent.ways);
        return job.step(key, work, { ms: input.step_ms, ways });
      });
    }
    return { ways: above[0]?.ways };
  },
});

/** With both layers drawn in the same width: whether the two lie over each other, or side by side in layers of the same number. */
function touch(parent: number, parents: number, child: number, children: number): boolean {
  if (parents === children) return Math.abs(parent - child) <= 1;
  return parent * children < (child + 1) * parents && child * parents < (parent + 1) * children;
}
