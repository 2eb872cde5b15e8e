/** The task most tests run: what it is told to take in its first attempt and in later ones, and one row in `effect` a commit. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { type CommitClient, type Context, defineTask } from "../../../runtime/define/index.ts";

export const counted = defineTask({
  name: "test.counted",
  input: z.strictObject({ firstMs: z.number(), laterMs: z.number() }),
  retry: { maxAttempts: 3, backoffMs: 100, maxBackoffMs: 100 },
  timeoutMs: 3_600_000,
  graceMs: 1_000,
  async run({ firstMs, laterMs }, ctx) {
    const workMs = ctx.attempt === 1 ? firstMs : laterMs;
    if (workMs > 0) await delay(workMs, undefined, { signal: ctx.signal });
    return { attempt: ctx.attempt };
  },
  commit: (tx, _output, ctx) => writeEffect(tx, ctx),
});

/** Nothing keeps a second row out: tests count them. */
export async function writeEffect(tx: CommitClient, ctx: Context): Promise<void> {
  await tx.query("insert into public.effect (task_id, attempt) values ($1, $2)", [ctx.taskId, ctx.attempt]);
}
