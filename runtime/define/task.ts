/** `defineTask`: a task is its name, the schema of its input, its policy and its handler. */

import { inspect } from "node:util";
import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import { POLICY_LIMITS, PRIORITY_LIMITS, type TaskPolicy } from "../model/task.ts";
import { type PipesOptions, type PipesPlaces, withPipes } from "../pipes/session.ts";
import type { CommitClient, Context } from "./context.ts";

export type TaskOptions<Schema extends z.ZodType, Output> = {
  /** Unique among all tasks; 1 to 200 characters: letters, digits and `. _ : / -`. Those that start with `taskiq.` are reserved. */
  readonly name: string;
  /** What it does, for people, at most 1,000 characters. */
  readonly description?: string;
  /** Checked when the task is submitted and again when it runs; the handler gets what the schema puts out. */
  readonly input: Schema;
  /**
   * What the handler returns, for jobs: a step that refers to what cannot be there, or takes it for something else, is refused before anything runs.
   * Results are not checked against it. Default: anything.
   */
  readonly output?: z.ZodType<Output>;
  /** Queue the task goes to unless the caller names one. Default `default`. */
  readonly queue?: string;
  /** Priority from -100 to 100 unless the caller gives one; higher starts earlier. Default 0. */
  readonly priority?: number;
  /** Full-jitter backoff: a random wait up to `backoffMs · 2^(n-1)`, at most `maxBackoffMs`. Defaults 3 attempts, 5 s, 15 min. */
  readonly retry?: { readonly maxAttempts?: number; readonly backoffMs?: number; readonly maxBackoffMs?: number };
  /** Longest run of one attempt in milliseconds, to 11 h. Default 3,600,000 (1 h). */
  readonly timeoutMs?: number;
  /** Time a handler has after its signal is aborted, in milliseconds. Default 10,000. */
  readonly graceMs?: number;
  /** Workers that may die while running the task before it fails as `crash_loop`. Default 5. */
  readonly maxLosses?: number;
  /** What a dead worker means: run again (default), or fail. */
  readonly onLost?: "requeue" | "fail";
  /**
   * `inline` (default): in the worker's own process, for code that waits more than it computes.
   * `process`: in a child process, for code that computes, calls native code or is not trusted. It gets no secrets in its environment, and is
   * killed `graceMs` after its signal is aborted, with everything it started. Its result goes over as JSON, also to `commit`, which runs in
   * the worker. The module that defines the task is loaded there too: TASKIQ_TASK_MODULES, or runtime/tasks/.
   */
  readonly isolation?: "inline" | "process";
  /**
   * Largest heap of the child process in MiB, from 32 to 65,536; on Linux its resident memory, buffers and native code included, may be 128 MiB
   * more, looked at once a second. Beyond it the attempt fails as `out_of_memory`. Default 512.
   */
  readonly memoryMb?: number;
  /** Whether the child process gets the worker's AWS credentials: `none` (default) or `inherit`. */
  readonly awsCredentials?: "none" | "inherit";
  /**
   * Limits across the whole fleet, at most 4. Only on standard queues in the order `named`.
   * `key`: what shares the limit, 1 to 200 characters: a text, or made from the input, such as one a customer. `maxRunning`: most at once, from 1.
   * `perSecond`: most starts a second, above 0; fractions are allowed.
   */
  readonly limits?: readonly TaskLimit<Schema>[];
  /**
   * Lets a Dagster asset run this task as its process (Pipes, `PipesTaskiqClient`): `ctx.pipes` is opened before `run` and closed after it, with the
   * error where it throws. Says which `bucket` or `folder` the session may use, for the task's labels name it, and whoever may submit tasks writes
   * those; a task that names another fails. For S3 with isolation `process`: `awsCredentials` `inherit`. Default: reports go nowhere.
   */
  readonly pipes?: TaskPipes;
  run(input: z.output<Schema>, ctx: Context): Output | Promise<Output>;
  /** Writes the effects of the task in the transaction that records its completion, within `TASKIQ_COMMIT_TIMEOUT_MS`. */
  commit?(tx: CommitClient, output: Awaited<Output>, ctx: Context): void | Promise<void>;
};

export type TaskPipes = PipesPlaces & Pick<PipesOptions, "intervalMs" | "s3">;

export type TaskLimit<Schema extends z.ZodType = z.ZodType> = {
  readonly key: string | ((input: z.output<Schema>) => string);
  readonly maxRunning?: number;
  readonly perSecond?: number;
};

/** A checked definition. The type parameters live on in `input` and `run`; a registry holds definitions of any type. */
export type TaskDefinition<Schema extends z.ZodType = z.ZodType, Output = unknown> = {
  readonly name: string;
  readonly description?: string;
  readonly input: Schema;
  readonly output?: z.ZodType;
  readonly queue: string;
  readonly priority: number;
  readonly policy: TaskPolicy;
  readonly limits: readonly TaskLimit<Schema>[];
  /** Workers of Python run it, see `definePythonTask`. */
  readonly python?: true;
  /** With isolation `process` only. */
  readonly process?: ProcessOptions;
  run(input: z.output<Schema>, ctx: Context): Output | Promise<Output>;
  commit?(tx: CommitClient, output: Awaited<Output>, ctx: Context): void | Promise<void>;
};

/** Of a step with isolation `process` whose task says nothing of processes. */
export const DEFAULT_PROCESS: ProcessOptions = { memoryMb: 512, awsCredentials: "none" };

export type ProcessOptions = { readonly memoryMb: number; readonly awsCredentials: "none" | "inherit" };

/** Names that start so are those of the system's own tasks. */
const RESERVED = "taskiq.";

/** Whether only the system itself may define a task under this name. */
export function isReserved(name: string): boolean {
  return name.startsWith(RESERVED);
}

/**
 * Defines a task.
 * @throws TaskiqError `definition_invalid` naming the option, what was expected and what it got
 */
export function defineTask<Schema extends z.ZodType, Output>(
  options: TaskOptions<Schema, Output>,
): TaskDefinition<Schema, Output> {
  return define(options, SHAPE);
}

/** The same for a task of the system itself, whose name may start with `taskiq.`. */
export function defineSystemTask<Schema extends z.ZodType, Output>(
  options: TaskOptions<Schema, Output>,
): TaskDefinition<Schema, Output> {
  return define(options, SYSTEM_SHAPE);
}

function define<Schema extends z.ZodType, Output>(
  options: TaskOptions<Schema, Output>,
  shape: typeof SYSTEM_SHAPE,
): TaskDefinition<Schema, Output> {
  const checked = shape.safeParse(options);
  if (!checked.success) {
    const problems = checked.error.issues.map(
      (issue) => `${issue.path.join(".")}: ${issue.message}, got ${shown(issue.path, options)}`,
    );
    throw new TaskiqError(
      "definition_invalid",
      `defineTask(${JSON.stringify(options.name)}): ${problems.join("; ")}. Correct the definition.`,
    );
  }
  const { name, description, queue, priority, retry, timeoutMs, graceMs, maxLosses, onLost, isolation } = checked.data;
  const { memoryMb = DEFAULT_PROCESS.memoryMb, awsCredentials = DEFAULT_PROCESS.awsCredentials } = checked.data;
  return {
    name,
    ...(description !== undefined && { description }),
    input: options.input,
    ...(options.output && { output: options.output }),
    queue,
    priority,
    policy: { timeoutMs, graceMs, maxLosses, onLost, isolation, ...retry },
    // As the shape has checked it; zod does not see the type of the key's function.
    limits: options.limits ?? [],
    ...(isolation === "process" && { process: { memoryMb, awsCredentials } }),
    run: options.pipes === undefined ? options.run : withSession(options.run, options.pipes),
    ...(options.commit && { commit: options.commit }),
  };
}

function withSession<Input, Output>(
  run: (input: Input, ctx: Context) => Output | Promise<Output>,
  { intervalMs, s3, ...allow }: TaskPipes,
): (input: Input, ctx: Context) => Promise<Output> {
  return (input, ctx) =>
    withPipes({ labels: ctx.labels, allow, intervalMs, s3 }, async (pipes) => await run(input, { ...ctx, pipes }));
}

/** What stands at a path of the options, in at most 80 characters. */
function shown(path: readonly PropertyKey[], options: object): string {
  let value: unknown = options;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  const text = typeof value === "string" ? JSON.stringify(value) : inspect(value, { depth: 0 });
  return text.slice(0, 80);
}

const within = (limits: { min: number; max: number; default: number }) =>
  z.int().min(limits.min).max(limits.max).default(limits.default);

const FIELDS = z.strictObject({
  name: z
    .string()
    .max(200)
    .regex(/^[A-Za-z0-9._:/-]+$/, "expected 1 to 200 letters, digits and . _ : / -"),
  description: z.string().max(1_000).optional(),
  input: z.custom<z.ZodType>((value) => value instanceof z.ZodType, "expected a zod schema"),
  output: z.custom<z.ZodType>((value) => value instanceof z.ZodType, "expected a zod schema").optional(),
  queue: z.string().default("default"),
  priority: within(PRIORITY_LIMITS),
  retry: z
    .strictObject({
      maxAttempts: within(POLICY_LIMITS.maxAttempts),
      backoffMs: within(POLICY_LIMITS.backoffMs),
      maxBackoffMs: within(POLICY_LIMITS.maxBackoffMs),
    })
    .prefault({}),
  timeoutMs: within(POLICY_LIMITS.timeoutMs),
  graceMs: within(POLICY_LIMITS.graceMs),
  maxLosses: within(POLICY_LIMITS.maxLosses),
  onLost: z.enum(["requeue", "fail"]).default("requeue"),
  isolation: z.enum(["inline", "process"]).default("inline"),
  memoryMb: z.int().min(32).max(65_536).optional(),
  awsCredentials: z.enum(["none", "inherit"]).optional(),
  limits: z
    .array(
      z
        .strictObject({
          key: z.union([z.string().min(1).max(200), z.custom<() => string>((value) => typeof value === "function")]),
          maxRunning: z.int().min(1).max(1_000_000).optional(),
          perSecond: z.number().min(0.000_1).max(100_000).optional(),
        })
        .refine(({ maxRunning, perSecond }) => maxRunning !== undefined || perSecond !== undefined, {
          error: "expected maxRunning, perSecond or both",
        }),
    )
    .max(4)
    .optional(),
  pipes: z
    .strictObject({
      bucket: z.string().min(1).optional(),
      folder: z.string().min(1).optional(),
      intervalMs: z.int().min(1).max(3_600_000).optional(),
      s3: z.looseObject({}).optional(),
    })
    .refine(({ bucket, folder }) => bucket !== undefined || folder !== undefined, "expected bucket, folder or both")
    .optional(),
  run: z.custom<() => unknown>((value) => typeof value === "function", "expected a function"),
  commit: z.custom<() => unknown>((value) => typeof value === "function", "expected a function").optional(),
});

const SYSTEM_SHAPE = FIELDS.superRefine(({ isolation, memoryMb, awsCredentials }, context) => {
  if (isolation === "process") return;
  for (const [field, value] of Object.entries({ memoryMb, awsCredentials })) {
    if (value === undefined) continue;
    context.addIssue({ code: "custom", path: [field], message: 'expected it with isolation "process" only' });
  }
});

const SHAPE = SYSTEM_SHAPE.refine(({ name }) => !isReserved(name), {
  path: ["name"],
  error: `expected another start than the reserved "${RESERVED}"`,
});
