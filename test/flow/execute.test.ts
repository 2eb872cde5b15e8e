/** Longer than most: handlers, hooks and inputs can be broken in many ways, and each has its line here. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Context } from "../../runtime/define/context.ts";
import { RetryableError, TerminalError } from "../../runtime/define/errors.ts";
import { chainMiddlewares, type ExecutingTask, type Middleware } from "../../runtime/define/middleware.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask, type TaskDefinition } from "../../runtime/define/task.ts";
import { TaskiqError } from "../../runtime/errors.ts";
import { type Attempt, startAttempt } from "../../runtime/flow/attempt.ts";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";
import { complete } from "../../runtime/flow/complete.ts";
import { type ExecuteParts, type Execution, execute, type Outcome } from "../../runtime/flow/execute.ts";
import { extend } from "../../runtime/flow/extend.ts";
import { fail } from "../../runtime/flow/fail.ts";
import { openLog } from "../../runtime/log.ts";
import { openPayloadStore, type S3PayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createTask, readTask } from "../support/tasks.ts";
import { until } from "../support/until.ts";

const MAX_PAYLOAD_BYTES = 1_000_000;

let testDatabase: TestDatabase;
let database: Database;
let aws: TestAws;
let payloads: S3PayloadStore;
let lines: { event: string; hook?: string; middleware?: string }[] = [];
const log = openLog({ level: "debug", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });

const noParent: ExecuteParts["readParent"] = () => {
  throw new Error("expected no question for a parent");
};

const readInput: ExecuteParts["readInput"] = ({ inputText, inputRef }) =>
  inputRef === null
    ? { kind: "input", text: inputText }
    : payloads.get(inputRef).then((text) => ({ kind: "input", text }));

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "execute test" });
  aws = await startTestAws();
  const { endpoint, region, credentials, bucket } = aws;
  payloads = openPayloadStore({ endpoint, region, credentials, bucket, maxBytes: MAX_PAYLOAD_BYTES });
});

beforeEach(() => {
  lines = [];
});

afterAll(async () => {
  payloads.close();
  await aws.stop();
  await database.close();
  await testDatabase.drop();
});

type Setup = {
  input?: z.ZodType;
  run?: (input: unknown, ctx: Context) => unknown;
  task?: Partial<ClaimedTask>;
  policy?: Partial<ClaimedTask["policy"]>;
  middlewares?: readonly Middleware[];
  maxPayloadBytes?: number;
};

function start(setup: Setup): { attempt: Attempt; execution: Promise<Execution> } {
  const options = { name: "demo", input: setup.input ?? z.unknown(), run: setup.run ?? (() => null) };
  // As the worker gets it: by name, from definitions of any type.
  const definition = createRegistry([defineTask(options)]).get("demo") as TaskDefinition;
  const task: ClaimedTask = {
    id: randomUUID(),
    attempt: 1,
    failures: 0,
    name: "demo",
    queue: "default",
    tenant: "acme",
    priority: 0,
    inputText: null,
    inputRef: null,
    labels: { team: "images" },
    traceContext: null,
    limited: false,
    step: null,
    policy: { timeoutMs: 600_000, graceMs: 600_000, maxAttempts: 3, backoffMs: 0, maxBackoffMs: 0, ...setup.policy },
    createdAt: new Date(),
    waitMs: 3,
    ...setup.task,
  };
  const attempt = startAttempt(task, 0);
  const { timeoutMs } = task.policy;
  const executing: ExecutingTask = { ...task, timeoutMs };
  const middlewares = chainMiddlewares(setup.middlewares ?? [], log);
  const maxPayloadBytes = setup.maxPayloadBytes ?? MAX_PAYLOAD_BYTES;
  return {
    attempt,
    execution: execute(attempt, definition, executing, {
      payloads,
      readInput,
      readParent: noParent,
      middlewares,
      log,
      maxPayloadBytes,
    }),
  };
}

async function outcomeOf(setup: Setup): Promise<Outcome> {
  return (await start(setup).execution).outcome;
}

/** Resolves when the signal is aborted. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function obey(_input: unknown, { signal }: Context): Promise<never> {
  await aborted(signal);
  throw signal.reason;
}

describe("a handler that returns", () => {
  test.each([[undefined], [null]])("%s has the result null", async (output) => {
    expect(await outcomeOf({ run: () => output })).toMatchObject({ kind: "succeeded", resultText: null });
  });

  test.each<[string, unknown, string]>([
    ["a number", 1.5, "1.5"],
    ["minus zero, which stays one", { z: -0 }, '{"z":-0.0}'],
    ["undefined in an object, which is left out", { a: undefined, b: 1 }, '{"b":1}'],
    ["U+0000", "a\u0000b", String.raw`"a\u0000b"`],
    ["half of a surrogate pair", ["\ud800", "\udc00x"], String.raw`["\ud800","\udc00x"]`],
    ["an emoji", "😀", '"😀"'],
    ["an odd key", { __proto__: null, "": 1, "\u0000": 2 }, String.raw`{"":1,"\u0000":2}`],
    ["a thousand levels", nested(1_000), "[".repeat(1_000) + "]".repeat(1_000)],
    ["false", false, "false"],
    ["an empty string", "", '""'],
  ])("%s: the database stores what was returned", async (_what, output, text) => {
    const outcome = await outcomeOf({ run: async () => output });
    expect(outcome).toMatchObject({ kind: "succeeded", resultText: text });
    const id = await createTask(database, { state: "running" });
    await complete(database, [{ id, attempt: 1, resultText: text, resultRef: null }]);
    const stored = await readTask(database, id);
    expect(stored.result).toBe(text);
    expect(JSON.parse(stored.result ?? "")).toEqual(JSON.parse(text));
  });

  test.each<[string, () => unknown]>([
    ["a cycle", cycle],
    ["2^64 as a bigint", () => 2n ** 64n],
    ["NaN", () => ({ ratio: Number.NaN })],
    ["infinity", () => [Number.POSITIVE_INFINITY]],
    ["undefined in an array", () => [undefined]],
    ["a thousand and one levels", () => nested(1_001)],
    ["a hundred thousand levels", () => nested(100_000)],
    ["a map", () => new Map([[1, 2]])],
    ["a function", () => () => 1],
    ["a symbol", () => Symbol("s")],
    ["a getter that throws", () => Object.defineProperty({}, "x", { enumerable: true, get: thrower })],
    ["a toJSON that throws", () => ({ toJSON: thrower })],
    ["a proxy that throws", () => ({ inner: new Proxy({}, { ownKeys: thrower, getPrototypeOf: thrower }) })],
    ["more than the limit", () => "x".repeat(MAX_PAYLOAD_BYTES)],
    ["more than the limit in bytes only", () => "é".repeat(MAX_PAYLOAD_BYTES / 2)],
  ])("%s fails as result_not_storable and is not tried again", async (_what, make) => {
    const outcome = await outcomeOf({ run: () => make() });
    expect(outcome).toMatchObject({ kind: "failed", error: { code: "result_not_storable" }, retry: { kind: "never" } });
  });

  test("a thenable that throws fails as any other error", async () => {
    // biome-ignore lint/suspicious/noThenProperty: a handler may return one.
    const outcome = await outcomeOf({ run: () => Object.defineProperty({}, "then", { get: thrower }) });
    expect(outcome).toMatchObject({ kind: "failed", error: { code: "handler_error" }, retry: { kind: "policy" } });
  });

  test("the limit exactly is a result", async () => {
    const output = "x".repeat(98);
    expect(await outcomeOf({ run: () => output, maxPayloadBytes: 100 })).toMatchObject({ kind: "succeeded" });
  });
});

describe("a handler that throws", () => {
  test.each<[string, () => unknown, string]>([
    ["an error", () => new Error("no route"), "Error"],
    ["null", () => null, "null"],
    ["undefined", () => undefined, "undefined"],
    ["a string", () => "plain", "string"],
    ["a symbol", () => Symbol("s"), "symbol"],
    ["a bigint", () => 2n ** 64n, "bigint"],
    ["an object whose getters throw", hostileObject, "unknown"],
    ["an error with U+0000 and half a surrogate pair", () => new Error("a\u0000b\ud800"), "Error"],
    ["an error with a cause that is itself", selfCaused, "Error"],
    ["an error of a megabyte", () => new Error("x".repeat(1_000_000)), "Error"],
    ["a proxy that was revoked", revokedProxy, "unknown"],
    ["a proxy without a prototype to ask for", () => new Proxy({}, { getPrototypeOf: thrower }), "Object"],
  ])("%s fails, follows its policy and can be stored", async (_what, make, type) => {
    const run = () => {
      throw make();
    };
    const outcome = await outcomeOf({ run });
    expect(outcome).toMatchObject({
      kind: "failed",
      error: { code: "handler_error", type },
      retry: { kind: "policy" },
    });
    if (outcome.kind !== "failed") return;
    const id = await createTask(database, { state: "running" });
    await fail(database, [{ id, attempt: 1, error: outcome.error, retryAfterMs: null, deadLetter: true }]);
    const { error } = await readTask(database, id);
    expect(JSON.parse(error ?? "")).toEqual(JSON.parse(JSON.stringify(outcome.error)));
    expect(Buffer.byteLength(error ?? "")).toBeLessThan(50_000);
  });

  test("before its first await fails like one that throws later", async () => {
    const late = await outcomeOf({ run: async () => Promise.reject(new Error("late")) });
    expect(late).toMatchObject({ kind: "failed", error: { message: "late" } });
  });

  test("TerminalError ends the task", async () => {
    class NoSuchImage extends TerminalError {}
    const run = () => {
      throw new NoSuchImage("gone");
    };
    expect(await outcomeOf({ run })).toMatchObject({
      kind: "failed",
      error: { code: "handler_error", message: "gone" },
      retry: { kind: "never" },
    });
  });

  test("RetryableError chooses the wait", async () => {
    const run = () => {
      throw new RetryableError("busy", { retryAfterMs: 1_234 });
    };
    expect(await outcomeOf({ run })).toMatchObject({ kind: "failed", retry: { kind: "after", delayMs: 1_234 } });
  });

  test("an error of ours keeps its code; another's code is not taken for ours", async () => {
    const ours = () => {
      throw new TaskiqError("database_unavailable", "away");
    };
    const theirs = () => {
      throw Object.assign(new Error("no"), { code: "input_invalid" });
    };
    expect(await outcomeOf({ run: ours })).toMatchObject({
      error: { code: "database_unavailable" },
      retry: { kind: "policy" },
    });
    expect(await outcomeOf({ run: theirs })).toMatchObject({
      error: { code: "handler_error" },
      retry: { kind: "policy" },
    });
  });
});

describe("a timeout", () => {
  const policy = { timeoutMs: 5 };

  test("aborts the handler's signal; one that obeys fails by its policy", async () => {
    const { attempt, execution } = start({ run: obey, policy });
    const { outcome, leaked } = await execution;
    expect(outcome).toMatchObject({
      kind: "failed",
      error: { code: "timeout", type: "TimeoutError" },
      retry: { kind: "policy" },
    });
    expect({ leaked, reason: attempt.abortReason }).toEqual({ leaked: null, reason: "timeout" });
  });

  test("is a failure even when the handler returns something after all", async () => {
    const run = async (_input: unknown, { signal }: Context) => {
      await aborted(signal);
      return "late";
    };
    expect(await outcomeOf({ run, policy })).toMatchObject({ kind: "failed", error: { code: "timeout" } });
  });

  test("ends a handler that ignores its signal after the grace time, and tells when it ends after all", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const { outcome, leaked } = await start({ run: () => promise, policy: { timeoutMs: 5, graceMs: 5 } }).execution;
    expect(outcome).toMatchObject({ kind: "failed", error: { code: "timeout" }, retry: { kind: "policy" } });
    let ended = false;
    const ending = leaked?.then(() => {
      ended = true;
    });
    expect(ended).toBe(false);
    resolve("at last");
    await ending;
    expect(ended).toBe(true);
  });

  test("of an abandoned handler that throws at last hurts nobody", async () => {
    const { promise, reject } = Promise.withResolvers<string>();
    const { leaked } = await start({ run: () => promise, policy: { timeoutMs: 1, graceMs: 1 } }).execution;
    reject(new Error("too late"));
    await leaked;
  });

  test("is heard by onError, whether the handler obeyed or was abandoned", async () => {
    const heard: unknown[] = [];
    const middlewares = [{ name: "ear", onError: (_task: unknown, error: unknown) => void heard.push(error) }];
    await outcomeOf({ run: obey, policy, middlewares });
    expect(heard).toHaveLength(1);
    await outcomeOf({ run: () => new Promise(() => {}), policy: { timeoutMs: 1, graceMs: 1 }, middlewares });
    expect(heard).toHaveLength(2);
  });
});

describe.each([
  ["cancelled", "cancelled"],
  ["shutdown", "released"],
  ["lease_lost", "lost"],
] as const)("an abort because of %s", (reason, kind) => {
  test(`that the handler obeys has the outcome ${kind}`, async () => {
    const { attempt, execution } = start({ run: obey });
    attempt.abort(reason);
    expect((await execution).outcome.kind).toBe(kind);
  });

  test(`that the handler ignores has the outcome ${kind} after the grace time`, async () => {
    const { attempt, execution } = start({ run: () => new Promise(() => {}), policy: { graceMs: 5 } });
    attempt.abort(reason);
    const { outcome, leaked } = await execution;
    expect(outcome.kind).toBe(kind);
    expect(leaked).not.toBeNull();
  });

  test("does not take back what the handler has done: what it returns is its outcome, and the fence decides", async () => {
    const run = async (_input: unknown, { signal }: Context) => {
      await aborted(signal);
      return "done";
    };
    const { attempt, execution } = start({ run });
    attempt.abort(reason);
    expect((await execution).outcome).toMatchObject({ kind: "succeeded", resultText: '"done"' });
  });

  test("before the handler has begun keeps it from beginning", async () => {
    const inside = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow: Middleware = {
      name: "slow",
      async preExecute() {
        inside.resolve();
        await goOn.promise;
      },
    };
    let began = false;
    const run = async (_input: unknown, { signal }: Context) => {
      began = true;
      signal.throwIfAborted();
    };
    const { attempt, execution } = start({ run, middlewares: [slow] });
    await inside.promise;
    attempt.abort(reason);
    goOn.resolve();
    expect((await execution).outcome.kind).toBe(kind);
    expect(began).toBe(false);
  });
});

describe("the input", () => {
  test("is what the schema puts out", async () => {
    const input = z.object({ width: z.number().transform((width) => width * 2), height: z.number().default(7) });
    const { outcome } = await start({ input, run: (value) => value, task: { inputText: '{"width":4}' } }).execution;
    expect(outcome).toMatchObject({ kind: "succeeded", output: { width: 8, height: 7 } });
  });

  test("comes from the payload store where the row has only its reference", async () => {
    const id = randomUUID();
    const inputRef = await payloads.put(id, JSON.stringify({ text: "x".repeat(100_000) }));
    const run = (input: unknown) => (input as { text: string }).text.length;
    expect(await outcomeOf({ run, task: { id, inputRef } })).toMatchObject({ output: 100_000 });
  });

  test("that is missing in the store fails by its policy", async () => {
    const inputRef = `v1/2026-01-01/${randomUUID()}/${"0".repeat(64)}`;
    expect(await outcomeOf({ task: { inputRef } })).toMatchObject({
      kind: "failed",
      error: { code: "payload_missing" },
      retry: { kind: "policy" },
    });
  });

  test("reference that leads elsewhere is not followed", async () => {
    expect(await outcomeOf({ task: { inputRef: "../secrets" } })).toMatchObject({
      kind: "failed",
      error: { code: "payload_ref_invalid" },
    });
  });

  test("that the schema does not take any more fails without another try, with the path of the culprit", async () => {
    const input = z.object({ sizes: z.array(z.number()) });
    let began = false;
    const run = () => {
      began = true;
    };
    const outcome = await outcomeOf({ input, run, task: { inputText: '{"sizes":[1,"2"]}' } });
    expect(outcome).toMatchObject({ kind: "failed", error: { code: "input_invalid" }, retry: { kind: "never" } });
    expect(outcome.kind === "failed" && outcome.error.message).toContain("input.sizes.1");
    expect(began).toBe(false);
  });

  test("that is null is absent for a schema that takes no null", async () => {
    expect(await outcomeOf({ input: z.object({}).optional(), run: (value) => value === undefined })).toMatchObject({
      output: true,
    });
    expect(await outcomeOf({ input: z.null(), run: (value) => value === null })).toMatchObject({ output: true });
    expect(await outcomeOf({ input: z.object({}) })).toMatchObject({
      kind: "failed",
      error: { code: "input_invalid" },
    });
  });

  test("schema that throws fails the attempt and nothing else", async () => {
    const input = z.unknown().refine(() => {
      throw new Error("broken schema");
    });
    expect(await outcomeOf({ input })).toMatchObject({ kind: "failed", error: { message: "broken schema" } });
  });
});

describe("hooks", () => {
  function told(calls: string[], name: string): Middleware {
    return {
      name,
      preExecute: () => void calls.push(`preExecute ${name}`),
      onError: (_task, error) => void calls.push(`onError ${name} ${error instanceof Error ? error.message : "?"}`),
    };
  }

  test("come in TaskIQ's order: pre in order, the rest reversed", async () => {
    const calls: string[] = [];
    const run = () => {
      calls.push("run");
      throw new Error("no route");
    };
    await outcomeOf({ run, middlewares: [told(calls, "a"), told(calls, "b")] });
    expect(calls).toEqual(["preExecute a", "preExecute b", "run", "onError b no route", "onError a no route"]);
  });

  test("onError is not called for what succeeded, was given back or is lost", async () => {
    const calls: string[] = [];
    const middlewares: Middleware[] = [{ name: "ear", onError: () => void calls.push("onError") }];
    await outcomeOf({ run: () => 1, middlewares });
    for (const reason of ["shutdown", "lease_lost"] as const) {
      const { attempt, execution } = start({ run: obey, middlewares });
      attempt.abort(reason);
      await execution;
    }
    expect(calls).toEqual([]);
  });

  test.each<[string, () => unknown]>([
    ["throws", thrower],
    ["throws null", () => Promise.reject(null)],
    ["throws an object whose getters throw", () => Promise.reject(hostileObject())],
    ["throws a revoked proxy", () => Promise.reject(revokedProxy())],
  ])("one that %s is logged and passed over, in every position", async (_what, broken) => {
    for (const position of [0, 1, 2]) {
      lines = [];
      const calls: string[] = [];
      const middlewares = [told(calls, "a"), told(calls, "b")];
      // Its type allows nothing but void; a broken hook does what it does.
      middlewares.splice(position, 0, {
        name: "broken",
        preExecute: broken as () => void,
        onError: broken as () => void,
      });
      const run = () => {
        throw new Error("no route");
      };
      expect(await outcomeOf({ run, middlewares })).toMatchObject({ kind: "failed", error: { message: "no route" } });
      expect(calls).toEqual(["preExecute a", "preExecute b", "onError b no route", "onError a no route"]);
      expect(lines.filter((line) => line.event === "hook.failed")).toMatchObject([
        { middleware: "broken", hook: "preExecute" },
        { middleware: "broken", hook: "onError" },
      ]);
    }
  });

  test("a preExecute that never returns ends with the timeout", async () => {
    const middlewares: Middleware[] = [{ name: "stuck", preExecute: () => new Promise(() => {}) }];
    expect(await outcomeOf({ middlewares, policy: { timeoutMs: 5, graceMs: 5 } })).toMatchObject({
      kind: "failed",
      error: { code: "timeout" },
    });
  });

  test("an onError that never returns does not keep the failure from being recorded", async () => {
    const middlewares: Middleware[] = [{ name: "stuck", onError: () => new Promise(() => {}) }];
    let outcome: Outcome | undefined;
    void start({ run: thrower, middlewares, policy: { timeoutMs: 20, graceMs: 20 } }).execution.then((execution) => {
      outcome = execution.outcome;
    });
    await until(() => outcome !== undefined, { deadlineMs: 2_000, what: "the outcome of a handler that threw" });
    expect(outcome).toMatchObject({ kind: "failed" });
  });
});

describe("the context", () => {
  test("says what the attempt is", async () => {
    let seen: Context | undefined;
    const run = (_input: unknown, ctx: Context) => {
      seen = ctx;
    };
    const id = randomUUID();
    const { context } = await start({ run, task: { id, attempt: 4, failures: 2 } }).execution;
    expect(seen).toBe(context);
    expect(context).toMatchObject({
      taskId: id,
      task: "demo",
      queue: "default",
      tenant: "acme",
      attempt: 4,
      failures: 2,
      labels: { team: "images" },
      idempotencyKey: id,
    });
    expect(context.signal.aborted).toBe(false);
  });

  test("its log writes lines of the one event task.log, which carry the task", async () => {
    await outcomeOf({
      run(_input, { log }) {
        for (const level of ["debug", "info", "warn", "error"] as const) log[level]("worker.started", { bytes: 7 });
      },
      task: { attempt: 2 },
    });
    const line = { event: "task.log", task: "demo", attempt: 2, message: "worker.started", bytes: 7 };
    expect(lines).toMatchObject(["debug", "info", "warn", "error"].map((level) => ({ ...line, level })));
  });

  test("its log never fails it", async () => {
    const broken = {
      get bytes(): never {
        throw new Error("no");
      },
    };
    const outcome = await outcomeOf({ run: (_input, ctx) => ctx.log.info("hello", broken) });
    expect(outcome.kind).toBe("succeeded");
    expect(lines).toMatchObject([{ event: "task.log", message: "hello" }]);
  });

  test.each([
    [0.5, 0.5],
    [-1, 0],
    [2, 1],
    [Number.POSITIVE_INFINITY, 1],
    [Number.NaN, null],
  ])("progress(%d) reports %d", async (fraction, expected) => {
    const { attempt, execution } = start({ run: (_input, ctx) => ctx.progress(fraction) });
    await execution;
    expect(attempt.progress).toBe(expected);
  });

  test.each([Number.MIN_VALUE, 1e-46, 1e-30, 1 - Number.EPSILON])(
    "progress(%d) can be stored, and costs no other attempt its lease",
    async (fraction) => {
      const { attempt, execution } = start({
        run: (_input, ctx) => ctx.progress(fraction, "a\u0000\ud800".repeat(2_000)),
      });
      await execution;
      const id = await createTask(database, { state: "running" });
      const { progress, progressMessage } = attempt;
      expect(await extend(database, [{ id, attempt: 1, progress, progressMessage }], 30_000)).toEqual(["extended"]);
      const row = await readTask(database, id);
      expect(row.progress).toBeCloseTo(fraction, 5);
      expect(row.progress_message?.length).toBeLessThanOrEqual(3_000);
    },
  );
});

function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < levels; level++) value = [value];
  return value;
}

function cycle(): unknown {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

function thrower(): never {
  throw new Error("thrown");
}

function hostileObject(): object {
  return Object.defineProperties(Object.create(null), {
    message: { get: thrower },
    name: { get: thrower },
    stack: { get: thrower },
    code: { get: thrower },
    cause: { get: thrower },
    constructor: { get: thrower },
    toString: { get: thrower },
  });
}

function selfCaused(): Error {
  const error = new Error("round");
  error.cause = error;
  return error;
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
