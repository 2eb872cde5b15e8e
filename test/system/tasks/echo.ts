/** A task that gives back a text of any length, or fails. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { defineTask } from "../../../runtime/define/index.ts";

export const echo = defineTask({
  name: "test.echo",
  input: z.strictObject({ text: z.string(), fail: z.boolean().default(false), workMs: z.number().default(0) }),
  retry: { maxAttempts: 1 },
  timeoutMs: 3_600_000,
  graceMs: 1_000,
  async run({ text, fail, workMs }, ctx) {
    if (workMs > 0) await delay(workMs, undefined, { signal: ctx.signal });
    if (fail) throw new Error("told to fail");
    return { text };
  },
});
