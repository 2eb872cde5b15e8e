/** A task that ignores its signal: after its timeout and grace time it is left behind, and its slot is lost. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { defineTask } from "../../../runtime/define/index.ts";

export const deaf = defineTask({
  name: "test.deaf",
  input: z.strictObject({}),
  retry: { maxAttempts: 1 },
  timeoutMs: 500,
  graceMs: 200,
  run: () => delay(3_600_000),
});
