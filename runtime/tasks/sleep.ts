/** The demo task: waits, says how far it is, and wakes when it is aborted. */

import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { defineTask } from "../define/index.ts";

const REPORT_EVERY_MS = 1_000;

export const sleep = defineTask({
  name: "sleep",
  description: "Waits for some seconds and says how far it is.",
  input: z.strictObject({
    /** From one second to five minutes. */
    duration_seconds: z.number().min(1).max(300),
  }),
  timeoutMs: 600_000,
  async run({ duration_seconds }, ctx) {
    const startedMs = performance.now();
    const totalMs = duration_seconds * 1_000;
    for (let leftMs = totalMs; leftMs > 0; leftMs = totalMs - (performance.now() - startedMs)) {
      ctx.progress(1 - leftMs / totalMs);
      await delay(Math.min(leftMs, REPORT_EVERY_MS), undefined, { signal: ctx.signal });
    }
    return { slept_seconds: duration_seconds };
  },
});
