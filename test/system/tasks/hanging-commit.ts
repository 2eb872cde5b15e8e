/** A task whose first attempt stays in its commit, stopping the whole process there if it is told to, and then tries to write on. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { defineTask } from "../../../runtime/define/index.ts";
import { writeEffect } from "./counted.ts";

/** What it logs: the effect is written and not committed; what became of the write after the wait. */
export const INSIDE = "inside the commit";
export const LATE_WRITE = "late write";

export const hangingCommit = defineTask({
  name: "test.hanging-commit",
  input: z.strictObject({
    /** Stop the process, as a container is paused: only a SIGCONT from outside lets it go on. */
    freeze: z.boolean(),
    hangMs: z.number(),
  }),
  retry: { maxAttempts: 3, backoffMs: 100, maxBackoffMs: 100 },
  timeoutMs: 3_600_000,
  graceMs: 1_000,
  run: (input) => input,
  async commit(tx, { freeze, hangMs }, ctx) {
    await writeEffect(tx, ctx);
    if (ctx.attempt > 1) return;
    ctx.log.info(INSIDE);
    if (freeze) process.kill(process.pid, "SIGSTOP");
    if (hangMs > 0) await delay(hangMs);
    try {
      await writeEffect(tx, ctx);
      ctx.log.info(LATE_WRITE, { refused: false });
    } catch (error) {
      ctx.log.info(LATE_WRITE, { refused: true, error });
      throw error;
    }
  },
});
