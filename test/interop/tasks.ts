/** Tasks of this runtime and of Python, and a job with steps of both. Loaded by the processes of the test. */
import { z } from "zod";
import { defineJob, definePythonTask, defineTask } from "../../runtime/define/index.ts";

const retry = { maxAttempts: 1 };
const twice = { maxAttempts: 2, backoffMs: 0, maxBackoffMs: 0 };

export const add = defineTask({
  name: "ts.add",
  input: z.object({ a: z.coerce.number(), b: z.coerce.number().default(0) }),
  retry,
  run: ({ a, b }) => a + b,
});
export const echo = defineTask({ name: "ts.echo", input: z.unknown(), retry, run: (input) => input });
export const fail = defineTask({
  name: "ts.fail",
  input: z.object({ why: z.string() }),
  retry,
  run: ({ why }) => {
    throw new RangeError(why);
  },
});
export const hang = defineTask({
  name: "ts.hang",
  input: z.unknown(),
  retry,
  run: (_input, ctx) =>
    new Promise<never>((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason))),
});
export const sum = defineTask({
  name: "ts.sum",
  input: z.object({ numbers: z.array(z.number()) }),
  output: z.number(),
  run: ({ numbers }) => numbers.reduce((total, number) => total + number, 0),
});
export const list = defineTask({
  name: "ts.list",
  input: z.object({ count: z.int() }),
  output: z.array(z.number()),
  run: ({ count }) => Array.from({ length: count }, (_, index) => index + 1),
});

const queue = "python";
export const double = definePythonTask({
  name: "python.double",
  input: z.object({ numbers: z.array(z.number()) }),
  output: z.array(z.number()),
  queue,
});
export const pythonEcho = definePythonTask({ name: "python.echo", input: z.unknown(), queue });
export const pythonFail = definePythonTask({
  name: "python.fail",
  input: z.object({ why: z.string() }),
  queue,
  retry: twice,
});
export const pythonSleep = definePythonTask({
  name: "python.sleep",
  input: z.object({ seconds: z.number() }),
  queue,
  timeoutMs: 2_000,
  retry,
});

/** TypeScript → Python → TypeScript. */
export const both = defineJob({
  name: "both-languages",
  input: z.object({ count: z.int() }),
  build: (job, input) => {
    const numbers = job.step("list", list, { count: input.count });
    const doubled = job.step("double", double, { numbers });
    return job.step("sum", sum, { numbers: doubled });
  },
});
