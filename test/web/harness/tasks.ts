/** Tasks and a job whose failures a test decides on. */
import { existsSync } from "node:fs";
import { z } from "zod";
import { defineJob, defineTask, TerminalError } from "../../../runtime/define/index.ts";

/** Fails until there is a file at `path`. */
export const gate = defineTask({
  name: "web.gate",
  description: "Fails until there is a file at the path.",
  input: z.strictObject({ path: z.string().min(1) }),
  output: z.object({ open: z.boolean() }),
  run({ path }) {
    if (!existsSync(path)) throw new TerminalError(`expected a file at ${path}, there is none yet.`);
    return { open: true };
  },
});

/** Fails each time, and is tried again at once. */
export const flaky = defineTask({
  name: "web.flaky",
  description: "Fails as often as it is tried.",
  input: z.strictObject({ reason: z.string().default("the far end hung up") }),
  retry: { maxAttempts: 2, backoffMs: 100, maxBackoffMs: 100 },
  run({ reason }) {
    throw new Error(reason);
  },
});

const note = defineTask({
  name: "web.note",
  description: "Says what it is told.",
  input: z.strictObject({ text: z.string() }),
  output: z.object({ text: z.string() }),
  run: ({ text }) => ({ text }),
});

/** `first` succeeds, `middle` fails until there is a file, `last` needs it. */
export const gated = defineJob({
  name: "web.gated",
  description: "Three steps, of which the one in the middle fails until there is a file.",
  input: z.strictObject({ path: z.string().min(1), greeting: z.string().default("hello") }),
  build(job, input) {
    const first = job.step("first", note, { text: input.greeting });
    const middle = job.step("middle", gate, { path: input.path }, { after: [first] });
    const last = job.step("last", note, { text: "done" }, { after: [middle] });
    return { text: last.text };
  },
});

export const notes = [note];
