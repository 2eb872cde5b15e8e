/** The demo job `etl`: lists some files, sums each of them up at the same time, and reports on all. The files are made up: nothing is read or written. */

import { z } from "zod";
import { defineJob, defineTask } from "../define/index.ts";
import { numbersOf, take } from "./numbers.ts";

const FILE = z.object({ name: z.string(), seed: z.int(), rows: z.int() });
const SUM = z.object({ name: z.string(), rows: z.int(), sum: z.int() });
const TOTAL = z.object({ files: z.int(), rows: z.int(), sum: z.int() });

const STEP_MS = 300;

const extract = defineTask({
  name: "etl.extract",
  input: z.strictObject({ files: z.int().min(0).max(10_000), rows: z.int().min(0).max(100_000) }),
  output: z.object({ files: z.array(FILE) }),
  async run({ files, rows }, ctx) {
    await take(STEP_MS, ctx);
    return {
      files: Array.from({ length: files }, (_, place) => ({
        name: `numbers-${String(place + 1).padStart(4, "0")}.csv`,
        seed: place + 1,
        rows,
      })),
    };
  },
});

const parse = defineTask({
  name: "etl.parse",
  input: z.strictObject({ file: FILE }),
  output: SUM,
  async run({ file }, ctx) {
    await take(STEP_MS, ctx);
    return { name: file.name, rows: file.rows, sum: total(numbersOf(file.seed, file.rows)) };
  },
});

const load = defineTask({
  name: "etl.load",
  input: z.strictObject({ parts: z.array(SUM) }),
  output: TOTAL,
  async run({ parts }, ctx) {
    await take(STEP_MS, ctx);
    return {
      files: parts.length,
      rows: total(parts.map(({ rows }) => rows)),
      sum: total(parts.map(({ sum }) => sum)),
    };
  },
});

const report = defineTask({
  name: "etl.report",
  input: z.strictObject({ loaded: TOTAL }),
  output: z.object({ text: z.string() }),
  run: ({ loaded: { files, rows, sum } }) => ({ text: `${rows} rows of ${files} files add up to ${sum}.` }),
});

export const ETL_TASKS = [extract, parse, load, report];

export const etl = defineJob({
  name: "etl",
  description: "Sums up the numbers in made-up files, all files at the same time.",
  input: z
    .strictObject({
      files: z.int().min(0).max(10_000).default(12),
      /** In each file. */
      rows: z.int().min(0).max(100_000).default(1_000),
    })
    .prefault({}),
  build(job, input) {
    const list = job.step("extract", extract, { files: input.files, rows: input.rows });
    const sums = job.map("parse", list.files, parse, (file) => ({ file }));
    const loaded = job.step("load", load, { parts: sums });
    const told = job.step("report", report, { loaded });
    return { total: loaded, text: told.text };
  },
});

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
