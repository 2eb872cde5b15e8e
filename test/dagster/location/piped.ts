/** A task of this package that a Dagster asset starts by Pipes, in a worker of the live tests. */
import { z } from "zod";
import { defineTask } from "../../../runtime/define/index.ts";

export const piped = defineTask({
  name: "test.piped",
  input: z.strictObject({ rows: z.int() }),
  pipes: { folder: process.env.TEST_PIPES_FOLDER ?? "" },
  run({ rows }, { pipes }) {
    if (rows < 0) throw new RangeError(`expected rows, got ${rows}`);
    pipes.log.info(`making ${rows} rows`);
    pipes.reportCheck({ name: "enough", passed: rows > 1 });
    pipes.reportMaterialization({ dataVersion: "7", metadata: { rows, note: { type: "md", value: "**made**" } } });
    return { run: pipes.context?.runId ?? null, extras: pipes.context?.extras ?? null };
  },
});
