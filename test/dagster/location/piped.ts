/** A task of this package that a Dagster asset starts by Pipes, in a worker of the live tests. */
import { z } from "zod";
import { defineTask } from "../../../runtime/define/index.ts";
import { withPipes } from "../../../runtime/pipes/index.ts";

export const piped = defineTask({
  name: "test.piped",
  input: z.strictObject({ rows: z.int(), folder: z.string() }),
  retry: { maxAttempts: 1 },
  async run({ rows, folder }, ctx) {
    return await withPipes({ labels: ctx.labels, allow: { folder } }, async (pipes) => {
      if (rows < 0) throw new RangeError(`expected rows, got ${rows}`);
      pipes.log.info(`making ${rows} rows`);
      pipes.reportCheck({ name: "enough", passed: rows > 1 });
      pipes.reportMaterialization({ dataVersion: "7", metadata: { rows, note: { type: "md", value: "**made**" } } });
      return { run: pipes.context?.runId ?? null, extras: pipes.context?.extras ?? null };
    });
  },
});
