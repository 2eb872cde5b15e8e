/** Made-up numbers that are the same each time, and time that passes: what the demo jobs work on. */

import { setTimeout as delay } from "node:timers/promises";
import type { Context } from "../define/index.ts";

/** Whole numbers from 0 to 999, by a linear congruential generator: equal for equal seeds. */
export function numbersOf(seed: number, count: number): number[] {
  const numbers: number[] = [];
  let state = seed % 2_147_483_647;
  for (let made = 0; made < count; made++) {
    state = (state * 48_271 + 11) % 2_147_483_647;
    numbers.push(state % 1_000);
  }
  return numbers;
}

const REPORTS = 4;

/** Waits as work would, and says how far it is. @throws the reason of the abort */
export async function take(ms: number, ctx: Pick<Context, "progress" | "signal">): Promise<void> {
  for (let done = 0; done < REPORTS; done++) {
    ctx.progress(done / REPORTS);
    await delay(ms / REPORTS, undefined, { signal: ctx.signal });
  }
}
