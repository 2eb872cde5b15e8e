import { describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { type CommitClient, type Context, defineTask } from "../../runtime/define/index.ts";
import { TaskiqError } from "../../runtime/errors.ts";
import { POLICY_LIMITS, PRIORITY_LIMITS } from "../../runtime/model/task.ts";

const MINIMAL = { name: "demo", input: z.object({}), run: () => null };

/** Definitions with mistakes that the types would refuse: authors may write JavaScript. */
function defineLoosely(options: object): unknown {
  return defineTask({ ...MINIMAL, ...options } as typeof MINIMAL);
}

function messageOf(options: object): string {
  try {
    defineLoosely(options);
  } catch (error) {
    if (error instanceof TaskiqError && error.code === "definition_invalid") return error.message;
    throw error;
  }
  throw new Error("expected the definition to be refused");
}

describe("a definition", () => {
  test("has the defaults where nothing is said", () => {
    const task = defineTask(MINIMAL);
    expect(task).toMatchObject({
      name: "demo",
      queue: "default",
      priority: PRIORITY_LIMITS.default,
      policy: {
        timeoutMs: 3_600_000,
        graceMs: 10_000,
        maxAttempts: 3,
        backoffMs: 5_000,
        maxBackoffMs: 900_000,
        maxLosses: 5,
        isolation: "inline",
        onLost: "requeue",
      },
    });
    expect("commit" in task).toBe(false);
    expect("process" in task).toBe(false);
  });

  test("keeps what is said", () => {
    const commit = () => {};
    const task = defineTask({
      ...MINIMAL,
      queue: "slow",
      priority: -5,
      retry: { maxAttempts: 1 },
      timeoutMs: 7,
      graceMs: 0,
      maxLosses: 0,
      onLost: "fail",
      commit,
    });
    expect(task).toMatchObject({
      queue: "slow",
      priority: -5,
      policy: {
        maxAttempts: 1,
        backoffMs: 5_000,
        maxBackoffMs: 900_000,
        timeoutMs: 7,
        graceMs: 0,
        maxLosses: 0,
        onLost: "fail",
      },
      commit,
    });
  });

  test("with a process of its own has a memory limit and no credentials unless it asks for them", () => {
    const task = defineTask({ ...MINIMAL, isolation: "process" });
    expect(task.policy.isolation).toBe("process");
    expect(task.process).toEqual({ memoryMb: 512, awsCredentials: "none" });
    const own = defineTask({ ...MINIMAL, isolation: "process", memoryMb: 64, awsCredentials: "inherit" });
    expect(own.process).toEqual({ memoryMb: 64, awsCredentials: "inherit" });
  });

  test.each(["a", "images.resize", "team/job:step-1_b", "x".repeat(200)])("may be called %s", (name) => {
    expect(defineTask({ ...MINIMAL, name }).name).toBe(name);
  });

  test("may use the limits themselves", () => {
    for (const bound of ["min", "max"] as const) {
      const { timeoutMs, graceMs, maxAttempts, backoffMs, maxBackoffMs, maxLosses } = POLICY_LIMITS;
      const task = defineTask({
        ...MINIMAL,
        priority: PRIORITY_LIMITS[bound],
        timeoutMs: timeoutMs[bound],
        graceMs: graceMs[bound],
        maxLosses: maxLosses[bound],
        retry: { maxAttempts: maxAttempts[bound], backoffMs: backoffMs[bound], maxBackoffMs: maxBackoffMs[bound] },
      });
      expect(task.policy.timeoutMs).toBe(timeoutMs[bound]);
    }
  });
});

/** The option, what was expected of it, and what came. */
const MISTAKES: readonly [string, object, RegExp, RegExp][] = [
  ["name", { name: "" }, /expected|characters|letters/i, /got ""/],
  ["name", { name: "a b" }, /letters, digits/, /got "a b"/],
  ["name", { name: "x".repeat(201) }, /200/, /got/],
  ["name", { name: "taskiq.mine" }, /reserved "taskiq\."/, /got "taskiq\.mine"/],
  ["name", { name: 5 }, /string/, /got (5|a number)/],
  ["name", { name: undefined }, /string/, /got (undefined|nothing)/],
  ["input", { input: {} }, /zod schema/, /got (\{\}|an object)/],
  ["input", { input: undefined }, /zod schema/, /got (undefined|nothing)/],
  ["queue", { queue: 1 }, /string/, /got (1|a number)/],
  ["priority", { priority: 101 }, /100/, /got 101/],
  ["priority", { priority: -101 }, /-100/, /got -101/],
  ["priority", { priority: 1.5 }, /int/, /got 1\.5/],
  ["retry.maxAttempts", { retry: { maxAttempts: 0 } }, /1/, /got 0/],
  ["retry.backoffMs", { retry: { backoffMs: -1 } }, /0/, /got -1/],
  ["retry.maxBackoffMs", { retry: { maxBackoffMs: 86_400_001 } }, /86400000/, /got 86400001/],
  ["retry", { retry: { attempts: 3 } }, /attempts/, /attempts/],
  ["timeoutMs", { timeoutMs: 0 }, /1/, /got 0/],
  ["timeoutMs", { timeoutMs: 39_600_001 }, /39600000/, /got 39600001/],
  ["timeoutMs", { timeoutMs: "30s" }, /number/, /got ("30s"|a string)/],
  ["timeoutMs", { timeoutMs: Number.NaN }, /number/, /NaN/],
  ["graceMs", { graceMs: 600_001 }, /600000/, /got 600001/],
  ["maxLosses", { maxLosses: -1 }, /0/, /got -1/],
  ["onLost", { onLost: "retry" }, /requeue.*fail/, /got "retry"/],
  ["isolation", { isolation: "command" }, /inline.*process/, /got "command"/],
  ["memoryMb", { isolation: "process", memoryMb: 31 }, /32/, /got 31/],
  ["memoryMb", { memoryMb: 64 }, /isolation "process" only/, /got 64/],
  ["awsCredentials", { isolation: "process", awsCredentials: true }, /none.*inherit/, /got true/],
  ["awsCredentials", { isolation: "inline", awsCredentials: "none" }, /isolation "process" only/, /got "none"/],
  ["run", { run: "later" }, /function/, /got ("later"|a string)/],
  ["run", { run: undefined }, /function/, /got (undefined|nothing)/],
  ["commit", { commit: true }, /function/, /got (true|a boolean)/],
];

describe("a mistake", () => {
  test.each(MISTAKES)(
    "in %s (%j) is refused with the option's name and what was expected",
    (option, options, expected) => {
      const message = messageOf(options);
      expect(message).toContain(option);
      expect(message).toMatch(expected);
    },
  );

  test("is refused with what it got", () => {
    const silent = MISTAKES.map(([, options, , got]) => ({ message: messageOf(options), got }));
    expect(silent.filter(({ message, got }) => !got.test(message))).toEqual([]);
  });

  test("in the spelling of an option is refused, not ignored", () => {
    expect(messageOf({ timeout: 30_000 })).toContain("timeout");
  });

  test("among several is named with the others", () => {
    const message = messageOf({ timeoutMs: 0, graceMs: -1, retry: { maxAttempts: 0 } });
    for (const option of ["timeoutMs", "graceMs", "retry.maxAttempts"]) expect(message).toContain(option);
  });
});

describe("types", () => {
  const schema = z.object({ key: z.string(), width: z.string().transform(Number) });

  test("a handler gets what its schema puts out, and a context", () => {
    defineTask({
      name: "demo",
      input: schema,
      run(input, ctx) {
        expectTypeOf(input).toEqualTypeOf<{ key: string; width: number }>();
        expectTypeOf(ctx).toEqualTypeOf<Context>();
      },
    });
  });

  test("a commit gets what its handler returned, awaited", () => {
    defineTask({
      name: "demo",
      input: schema,
      run: async ({ width }) => ({ bytes: width * 2 }),
      commit(tx, output, ctx) {
        expectTypeOf(tx).toEqualTypeOf<CommitClient>();
        expectTypeOf(output).toEqualTypeOf<{ bytes: number }>();
        expectTypeOf(ctx).toEqualTypeOf<Context>();
      },
    });
  });

  test("a definition knows its input and its output", () => {
    const task = defineTask({ name: "demo", input: schema, run: async () => 5 });
    expectTypeOf<z.input<typeof task.input>>().toEqualTypeOf<{ key: string; width: string }>();
    expectTypeOf(task.run).returns.toEqualTypeOf<number | Promise<number>>();
  });

  test("a handler of another input, and options of another type, are refused", () => {
    // @ts-expect-error height is not in the schema
    defineTask({ name: "demo", input: schema, run: ({ height }) => height });
    // @ts-expect-error width is a number once it has been parsed
    defineTask({ name: "demo", input: schema, run: ({ width }) => width.trim() });
    // @ts-expect-error there is no such choice
    expect(() => defineTask({ ...MINIMAL, onLost: "retry" })).toThrow(TaskiqError);
    // @ts-expect-error a queue has a name
    expect(() => defineTask({ ...MINIMAL, queue: 1 })).toThrow(TaskiqError);
    // @ts-expect-error a task needs a handler
    expect(() => defineTask({ name: "demo", input: schema })).toThrow(TaskiqError);
    // @ts-expect-error a commit takes what run returned
    defineTask({ name: "demo", input: schema, run: () => 5, commit: (_tx, output: string) => void output });
  });
});
