import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineJob, defineTask, equals, type JobBuilder, notEquals, optional } from "../../runtime/define/index.ts";
import { TaskiqError } from "../../runtime/errors.ts";

const listFiles = defineTask({
  name: "list",
  input: z.strictObject({ count: z.int(), after: z.string().optional() }),
  run: async ({ count }) => ({
    files: Array.from({ length: count }, (_, place) => ({ path: `f${place}`, bytes: place })),
    kind: "full" as "full" | "partial",
    next: null as { page: number } | null,
    made: new Date(0),
    // Names that a reference must not have for itself.
    optional: "t",
    length: 1,
    "a.b": { c: true },
  }),
});
const parseFile = defineTask({
  name: "parse",
  input: z.object({ path: z.string(), place: z.int().optional() }),
  run: () => ({ rows: 1 }),
});
const summarise = defineTask({
  name: "summarise",
  input: z.object({ parts: z.array(z.object({ rows: z.number() })), title: z.string().nullable().default(null) }),
  run: ({ parts }) => ({ total: parts.length }),
});
const anything = defineTask({ name: "anything", input: z.unknown(), run: () => {} });
const tell = defineTask({
  name: "tell",
  input: z.object({ run_id: z.string(), state: z.enum(["succeeded", "failed", "cancelled"]) }),
  run: () => null,
});

const INPUT = z.object({ files: z.int().min(1), title: z.string().optional() });

/** The steps that `build` says, as they would be posted. */
function stepsOf(build: Parameters<typeof defineJob<typeof INPUT, typeof tell.input>>[0]["build"]) {
  return defineJob({ name: "job", input: INPUT, build }).graph.steps;
}

function messageOf(define: () => unknown): string {
  try {
    define();
  } catch (error) {
    if (error instanceof TaskiqError && error.code === "definition_invalid") return error.message;
    throw error;
  }
  throw new Error("expected the definition to be refused");
}

describe("a job", () => {
  test("is a graph as it would be posted", () => {
    const etl = defineJob({
      name: "etl",
      input: INPUT,
      deadlineMs: 60_000,
      onFinished: tell,
      build(job, input) {
        const list = job.step("list", listFiles, { count: input.files });
        const parsed = job.map("parse", list.files, parseFile, (file, place) => ({ path: file.path, place }), {
          retry: { maxAttempts: 5 },
        });
        const report = job.step("report", summarise, { parts: parsed, title: "all" }, { after: [list] });
        return { total: report.total, first: parsed[0]?.rows };
      },
    });
    expect(etl.graph).toEqual({
      steps: [
        { key: "list", task: "list", input: { count: { $input: "files" } } },
        {
          key: "parse",
          task: "parse",
          map: { $ref: "list.files" },
          input: { path: { $item: "path" }, place: { $index: true } },
          retry: { max_attempts: 5 },
        },
        { key: "report", task: "summarise", input: { parts: { $ref: "parse" }, title: "all" }, after: ["list"] },
      ],
      result: { total: { $ref: "report.total" }, first: { $ref: "parse.0.rows" } },
      deadline_ms: 60_000,
      on_finished: { task: "tell" },
    });
  });

  test("has the defaults where nothing is said, and keeps what is said", () => {
    const build = (job: JobBuilder) => void job.step("a", anything, null);
    expect(defineJob({ name: "job", input: INPUT, build })).toEqual({
      name: "job",
      input: INPUT,
      graph: { steps: [{ key: "a", task: "anything", input: null }] },
      mode: "orchestrated",
      priority: 0,
      labels: {},
    });
    const said = { description: "d", mode: "simple", priority: -3, labels: { team: "a" } } as const;
    expect(defineJob({ name: "job", input: INPUT, ...said, build })).toMatchObject(said);
    const elsewhere = defineJob({ name: "job", input: INPUT, onFinished: { task: tell, queue: "slow" }, build });
    expect(elsewhere.graph.on_finished).toEqual({ task: "tell", queue: "slow" });
  });

  test("says all that a step may say", () => {
    const [, step] = stepsOf((job) => {
      const a = job.step("a", listFiles, { count: 1 });
      job.step("b", anything, 1, {
        after: [a],
        when: equals(a.kind, "full"),
        onParentFailure: "run",
        queue: "q",
        priority: 1,
        orderingKey: "o",
        retry: { maxAttempts: 1, backoffMs: 2, maxBackoffMs: 3 },
        timeoutMs: 4,
        graceMs: 5,
        onLost: "fail",
        isolation: "process",
        concurrency: { key: "k", maxRunning: 6 },
        labels: { l: "m" },
      });
    });
    expect(step).toEqual({
      key: "b",
      task: "anything",
      input: 1,
      after: ["a"],
      when: { $ref: "a.kind", equals: "full" },
      on_parent_failure: "run",
      queue: "q",
      priority: 1,
      ordering_key: "o",
      retry: { max_attempts: 1, backoff_ms: 2, max_backoff_ms: 3 },
      timeout_ms: 4,
      grace_ms: 5,
      on_lost: "fail",
      isolation: "process",
      concurrency: { key: "k", max_running: 6 },
      labels: { l: "m" },
    });
  });
});

describe("a reference", () => {
  test("is written for whole results, fields of any name, places in lists and elements", () => {
    const [, step] = stepsOf((job, input) => {
      const list = job.step("list", listFiles, { count: 1 });
      job.step("x", anything, [
        list,
        list.optional,
        list.length,
        list["a.b"].c,
        list.files[3]?.path,
        input,
        input.files,
      ]);
    });
    expect(step?.input).toEqual([
      { $ref: "list" },
      { $ref: "list.optional" },
      { $ref: "list.length" },
      { $ref: ["list", "a.b", "c"] },
      { $ref: "list.files.3.path" },
      { $input: "" },
      { $input: "files" },
    ]);
  });

  test("is optional where it is said to be", () => {
    const [, step] = stepsOf((job, input) => {
      const list = job.step("list", listFiles, { count: 1 });
      job.step("x", summarise, { parts: [], title: optional(input.title) });
      job.step("y", anything, [optional(list), optional(list.next.page)]);
    });
    expect(step?.input).toEqual({ parts: [], title: { $input: "title", optional: true } });
  });

  test("is a condition, alone or compared", () => {
    const steps = stepsOf((job) => {
      const list = job.step("list", listFiles, { count: 1 });
      job.step("a", anything, null, { when: list.files });
      job.step("b", anything, null, { when: notEquals(list.kind, "full") });
    });
    expect(steps.map(({ when }) => when)).toEqual([
      undefined,
      { $ref: "list.files" },
      { $ref: "list.kind", not_equals: "full" },
    ]);
  });

  test("is mapped over as a list with references in it", () => {
    const [, step] = stepsOf((job) => {
      const list = job.step("list", listFiles, { count: 1 });
      job.map("x", [list.optional, "other"], parseFile, (path) => ({ path }));
    });
    expect(step?.map).toEqual([{ $ref: "list.optional" }, "other"]);
  });
});

test("data that looks like a reference stays data", () => {
  const [step] = stepsOf((job) => void job.step("x", anything, { a: { $ref: "no step" }, b: undefined }));
  expect(step?.input).toEqual({ a: { $literal: { $ref: "no step" } } });
});

describe("a definition is refused", () => {
  const loosely = (options: object) => defineJob({ name: "job", input: INPUT, build: () => {}, ...options });

  test.each<[string, object, RegExp]>([
    ["whose name has other letters", { name: "a b" }, /^defineJob\("a b"\): name: expected 1 to 200 letters/],
    ["whose input is no schema", { input: {} }, /: input: expected a zod schema\. Correct the definition\.$/],
    ["whose priority is out of bounds", { priority: 101 }, /: priority: Too big/],
    ["whose deadline is out of bounds", { deadlineMs: 5 }, /: deadlineMs: Too small/],
    ["with an unknown option", { dedline: 5 }, /: dedline: this field is not known here/],
    ["without build", { build: undefined }, /: build: expected a function/],
    ["whose build waits", { build: async () => {} }, /: result: expected JSON or a reference, got Promise\./],
  ])("%s", (_, options, message) => {
    expect(messageOf(() => loosely(options))).toMatch(message);
  });

  // Authors may write JavaScript: what the types would refuse is told as well.
  test.each<[string, (job: JobBuilder) => void, string]>([
    [
      "takes a reference apart",
      (job) => {
        const list = job.step("list", listFiles, { count: 1 });
        job.step("x", anything, { ...list.files });
      },
      "expected the reference list.files to be given to a step as it is, got code that reads its value, which is there only when the job runs. Name the fields of it that you want, or do it in a task",
    ],
    [
      "puts a reference into a text",
      (job) => {
        const list = job.step("list", listFiles, { count: 1 });
        job.step("x", anything, `${list.kind}`);
      },
      "expected the reference list.kind to be given to a step as it is, got code that reads its value, which is there only when the job runs. Name the fields of it that you want, or do it in a task",
    ],
    [
      "takes the element of one step for another",
      (job) => {
        job.map("a", [1], anything, (element) => {
          job.map("b", [1], anything, () => element);
          return null;
        });
      },
      "steps.b.input: expected an element of this step, got one of a",
    ],
    [
      "takes a step of another job",
      (job) => {
        let other: unknown;
        const build = (another: JobBuilder) => {
          other = another.step("a", anything, 1);
        };
        defineJob({ name: "o", input: INPUT, build });
        job.step("x", anything, { y: [other] });
      },
      "steps.x.input.y.0: expected a reference of this job, got a of another",
    ],
    [
      "gives a step what is not JSON",
      (job) => void job.step("x", anything, { y: [() => 1] }),
      "steps.x.input.y.0: expected JSON or a reference, got function",
    ],
    [
      "gives a step a number that JSON has not",
      (job) => void job.step("x", anything, Number.NaN),
      "steps.x.input: expected JSON or a reference, got NaN",
    ],
    [
      "has a name with $ beside references",
      (job) => {
        const list = job.step("list", listFiles, { count: 1 });
        job.step("x", anything, { $own: 1, list });
      },
      "steps.x.input: expected no name that starts with $ beside references, got $own",
    ],
    [
      "comes after what is no step",
      (job) => void job.step("x", anything, 1, { after: ["list" as never] }),
      "expected a reference, such as what job.step returns, got 'list'",
    ],
    [
      "says what a step cannot say",
      (job) => void job.step("x", anything, 1, { timeout: 5 } as object),
      "steps.0.timeout: this field is not known here",
    ],
  ])("that %s", (_, build, problem) => {
    expect(messageOf(() => loosely({ build }))).toBe(`defineJob("job"): ${problem}. Correct the definition.`);
  });

  test("that throws an error of its own, with that error", () => {
    const build = () => {
      throw new RangeError("mine");
    };
    expect(() => loosely({ build })).toThrow(RangeError);
  });
});
