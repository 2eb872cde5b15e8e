/** Tasks for counting: short ones that end in every way there is. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { type Context, defineTask, TerminalError } from "../../../runtime/define/index.ts";

const FOR_EVER_MS = 3_000_000;

const POLICY = { retry: { maxAttempts: 3, backoffMs: 0 }, timeoutMs: 3_600_000, graceMs: 1_000 };

export const fleeting = defineTask({ name: "test.fleeting", ...POLICY, input: z.null(), run: () => null });

/** Fails so many attempts before it succeeds; from 3 on it fails for good, below 0 at once. */
export const flaky = defineTask({
  name: "test.flaky",
  ...POLICY,
  input: z.strictObject({ failures: z.int() }),
  run({ failures }, ctx) {
    if (failures < 0) throw new TerminalError("told to fail");
    if (ctx.failures < failures) throw new Error("told to fail at first");
    return { failures };
  },
});

/** Its first attempt does not end by itself. */
export const held = defineTask({ name: "test.held", ...POLICY, input: z.null(), run: hold });

async function hold(_: null, ctx: Context): Promise<number> {
  if (ctx.attempt === 1) await delay(FOR_EVER_MS, undefined, { signal: ctx.signal });
  return ctx.attempt;
}
