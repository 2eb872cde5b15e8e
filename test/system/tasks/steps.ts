/**
 * Tasks for the steps of runs. Each returns 1, or the sum of what it refers to: in a graph without failures the number of ways that lead to it.
 * A file that the test makes lets an attempt go on, or succeed at all: it is there for all workers, and for all attempts to come.
 */
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { type Context, defineTask, TerminalError } from "../../../runtime/define/index.ts";
import { writeEffect } from "./counted.ts";

const INPUT = z.strictObject({
  ms: z.number().default(0),
  /** References: numbers, lists of numbers from mapped steps, null for what did not succeed. */
  refs: z.array(z.union([z.number(), z.null(), z.array(z.number().nullable())])).default([]),
  /** Goes on when this file is there. */
  gate: z.string().optional(),
  /** Fails for good while this file is not there. */
  needs: z.string().optional(),
  /** So many attempts fail. */
  failures: z.int().default(0),
});

const POLICY = {
  input: INPUT,
  output: z.number(),
  retry: { maxAttempts: 3, backoffMs: 0 },
  timeoutMs: 3_600_000,
  graceMs: 1_000,
  // A step that is held lives through the deaths of many workers.
  maxLosses: 1_000,
};
const LOOK_MS = 20;

/** Leaves one row in `effect`. A worker does not go on with the next step in the same statement. */
export const committing = defineTask({
  name: "test.committing-step",
  ...POLICY,
  run: work,
  commit: (tx, _output, ctx) => writeEffect(tx, ctx),
});

/** One that a worker goes on from, without a message. */
export const plain = defineTask({ name: "test.plain-step", ...POLICY, run: work });

/** Waits for the end of a run, and returns what it was told of it. */
export const onFinished = defineTask({
  name: "test.on-finished",
  input: z.looseObject({ run_id: z.string() }),
  run: (outcome) => outcome,
  commit: (tx, _output, ctx) => writeEffect(tx, ctx),
});

async function work({ ms, refs, gate, needs, failures }: z.output<typeof INPUT>, ctx: Context): Promise<number> {
  while (gate !== undefined && !existsSync(gate)) await delay(LOOK_MS, undefined, { signal: ctx.signal });
  if (needs !== undefined && !existsSync(needs)) throw new TerminalError("told to fail");
  if (ctx.failures < failures) throw new Error("told to fail at first");
  if (ms > 0) await delay(ms, undefined, { signal: ctx.signal });
  return refs.length === 0 ? 1 : refs.flat().reduce<number>((sum, ref) => sum + (ref ?? 0), 0);
}
