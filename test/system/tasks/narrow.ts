/** A task of which no more than three may run at once, in all workers together. Its first attempt can be told to fail. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { defineTask } from "../../../runtime/define/index.ts";
import { writeEffect } from "./counted.ts";

export const NARROW_KEY = "narrow";
export const NARROW_MAX = 3;

export const narrow = defineTask({
  name: "test.narrow",
  input: z.strictObject({ workMs: z.number(), failFirst: z.boolean() }),
  limits: [{ key: NARROW_KEY, maxRunning: NARROW_MAX }],
  retry: { maxAttempts: 3, backoffMs: 100, maxBackoffMs: 100 },
  async run({ workMs, failFirst }, ctx) {
    await delay(workMs, undefined, { signal: ctx.signal });
    if (failFirst && ctx.attempt === 1) throw new Error("told to fail");
    return null;
  },
  commit: (tx, _output, ctx) => writeEffect(tx, ctx),
});
