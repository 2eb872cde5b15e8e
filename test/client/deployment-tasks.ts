/** Tasks whose ends a test decides. */
import { access } from "node:fs/promises";
import { z } from "zod";
import { defineTask, TerminalError } from "../../runtime/define/index.ts";
import { until } from "../support/until.ts";

/** Returns its input. */
export const echo = defineTask({ name: "test.echo", input: z.unknown(), run: (input) => input });

/** Fails at once. */
export const refuse = defineTask({
  name: "test.refuse",
  input: z.strictObject({ reason: z.string() }),
  run({ reason }) {
    throw new TerminalError(reason);
  },
});

/** Fails its only attempt, so that it ends in the dead-letter queue, and the one after a redrive. */
export const exhaust = defineTask({
  name: "test.exhaust",
  input: z.unknown(),
  retry: { maxAttempts: 1 },
  run() {
    throw new Error("no route");
  },
});

/** Is 40 % done until a file appears. */
export const gate = defineTask({
  name: "test.gate",
  input: z.strictObject({ file: z.string() }),
  async run({ file }, ctx) {
    ctx.progress(0.4, "waiting at the gate");
    await until(
      async () => {
        ctx.signal.throwIfAborted();
        await access(file);
        return true;
      },
      { deadlineMs: 60_000 },
    );
    return { opened: file };
  },
});
