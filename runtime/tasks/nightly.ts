/** The demo job `nightly`, for a schedule: looks at a table, and reports only where it has grown enough. The table is made up. */

import { z } from "zod";
import { defineJob, defineTask, optional } from "../define/index.ts";
import { numbersOf, take } from "./numbers.ts";

const STEP_MS = 200;

const extract = defineTask({
  name: "nightly.extract",
  input: z.strictObject({ table: z.string().min(1) }),
  output: z.object({ table: z.string(), rows: z.int() }),
  async run({ table }, ctx) {
    await take(STEP_MS, ctx);
    const seed = Buffer.from(table).reduce((sum, byte) => (sum * 31 + byte) % 1_000_000, 7);
    return { table, rows: numbersOf(seed, 1)[0] ?? 0 };
  },
});

const check = defineTask({
  name: "nightly.check",
  input: z.strictObject({ rows: z.int(), least: z.int() }),
  output: z.object({ enough: z.boolean() }),
  run: ({ rows, least }) => ({ enough: rows >= least }),
});

const report = defineTask({
  name: "nightly.report",
  input: z.strictObject({ table: z.string(), rows: z.int() }),
  output: z.object({ text: z.string() }),
  async run({ table, rows }, ctx) {
    await take(STEP_MS, ctx);
    return { text: `${table} has ${rows} rows more.` };
  },
});

export const NIGHTLY_TASKS = [extract, check, report];

export const nightly = defineJob({
  name: "nightly",
  description: "Reports on a made-up table where it has enough new rows.",
  input: z
    .strictObject({
      table: z.string().min(1).max(100).default("orders"),
      /** Fewer new rows are not reported. */
      least: z.int().min(0).default(1),
    })
    .prefault({}),
  build(job, input) {
    const found = job.step("extract", extract, { table: input.table });
    const checked = job.step("check", check, { rows: found.rows, least: input.least });
    const told = job.step("report", report, { table: found.table, rows: found.rows }, { when: checked.enough });
    return { reported: checked.enough, text: optional(told.text) };
  },
});
