/** Attempts in real child processes. Longer than most: a process can end in many ways, and each has its line here. */
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { chainMiddlewares } from "../../runtime/define/middleware.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import type { TaskDefinition } from "../../runtime/define/task.ts";
import { type Attempt, startAttempt } from "../../runtime/flow/attempt.ts";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";
import { execute, type Outcome } from "../../runtime/flow/execute.ts";
import type { ProcessPool } from "../../runtime/isolation/pool.ts";
import { openLog } from "../../runtime/log.ts";
import { encodeJson } from "../../runtime/payload/json.ts";
import type { PayloadStore } from "../../runtime/payload/payload.ts";
import { isAlive } from "../support/processes.ts";
import { until } from "../support/until.ts";
import { childGroups, groupIsGone, usePools } from "./processes.ts";
import * as apart from "./tasks/apart.ts";

const poolOf = usePools();
const tasks = createRegistry(Object.values(apart));
const MAX_PAYLOAD_BYTES = 1_000_000;

type Line = { level: string; event: string; [field: string]: unknown };
type Started = { attempt: Attempt; outcome: Promise<Outcome>; leaked: Promise<boolean>; lines: Line[] };

function start(pool: ProcessPool, name: string, input: unknown, task: Partial<ClaimedTask> = {}): Started {
  const definition = tasks.get(`apart.${name}`) as TaskDefinition;
  const inputText = typeof input === "string" && input.startsWith("text:") ? input.slice(5) : encodeJson(input);
  const claimed: ClaimedTask = {
    id: randomUUID(),
    attempt: 3,
    failures: 1,
    name: definition.name,
    queue: "default",
    tenant: "acme",
    priority: 0,
    inputText,
    inputRef: null,
    labels: { team: "images" },
    traceContext: null,
    limited: false,
    step: null,
    policy: definition.policy,
    createdAt: new Date(),
    waitMs: 3,
    ...task,
  };
  const lines: Line[] = [];
  const log = openLog({
    level: "debug",
    format: "json",
    service: "test",
    write: (line) => lines.push(JSON.parse(line)),
  });
  const attempt = startAttempt(claimed, 0);
  const execution = execute(
    attempt,
    definition,
    { ...claimed, timeoutMs: claimed.policy.timeoutMs },
    {
      readInput: ({ inputText: text }) => ({ kind: "input", text }),
      readParent: () => {
        throw new Error("expected no question for a parent");
      },
      payloads: {} as PayloadStore, // Inputs stand in the row here, and nothing is stored.
      middlewares: chainMiddlewares([], log),
      log,
      maxPayloadBytes: MAX_PAYLOAD_BYTES,
      processes: pool,
    },
  );
  const leaked = execution.then((one) => one.leaked !== null);
  return { attempt, outcome: execution.then((one) => one.outcome), leaked, lines };
}

const outcomeOf = (pool: ProcessPool, name: string, input: unknown) => start(pool, name, input).outcome;

async function resultOf<Result>(pool: ProcessPool, name: string, input: unknown = null): Promise<Result> {
  const outcome = await outcomeOf(pool, name, input);
  if (outcome.kind !== "succeeded") throw new Error(`expected a success, got ${JSON.stringify(outcome)}`);
  return JSON.parse(outcome.resultText ?? "null") as Result;
}

/** What a handler says of itself as its first progress. */
async function whoRuns({ attempt }: Started): Promise<{ pid: number; other: number | null }> {
  return JSON.parse(await until(() => attempt.progressMessage, { deadlineMs: 20_000, what: "a handler that runs" }));
}

describe("a handler in a process of its own", () => {
  test("gets its input and gives its result as exactly as one in the worker", async () => {
    const pool = poolOf();
    const texts = [
      "null",
      "-0.0",
      '{"z":-0.0,"a":[1.5e300,-1e-7]}',
      "9007199254740991",
      String.raw`"a\u0000b"`,
      String.raw`"\ud800 alone, \udc00 too"`,
      '{"b":1,"a":2,"__proto__":{"c":3},"":""}',
      '"😀"',
      "[[[[]]],{}]",
    ];
    for (const text of texts) {
      const inline = encodeJson(JSON.parse(text));
      const resultText = inline === "null" ? null : inline;
      expect(await outcomeOf(pool, "echo", `text:${text}`), text).toMatchObject({ kind: "succeeded", resultText });
    }
  });

  test("whatever the value is", async () => {
    const pool = poolOf();
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ stringUnit: "binary" }), async (value) => {
        const text = encodeJson(value);
        expect(await outcomeOf(pool, "echo", `text:${text}`)).toMatchObject({
          kind: "succeeded",
          resultText: text === "null" ? null : text,
        });
      }),
      { numRuns: 200 },
    );
  });

  test("a text of 900,000 characters goes over whole; a result beyond the limit fails as it does in the worker", async () => {
    const pool = poolOf();
    const long = "ä".repeat(450_000);
    expect(await resultOf(pool, "echo", long)).toBe(long);
    expect(await outcomeOf(pool, "echo", "x".repeat(MAX_PAYLOAD_BYTES))).toMatchObject({
      kind: "failed",
      error: { code: "result_not_storable" },
      retry: { kind: "never" },
    });
  });

  test("knows its attempt, and says how far it is without flooding the worker", async () => {
    const run = start(poolOf(), "chatters", null);
    let said = 0;
    const progress = Object.getOwnPropertyDescriptor(run.attempt, "progress");
    let value = progress?.value;
    Object.defineProperty(run.attempt, "progress", {
      get: () => value,
      set(next) {
        said++;
        value = next;
      },
    });
    expect(await run.outcome).toMatchObject({ kind: "succeeded" });
    const { task } = run.attempt;
    expect(JSON.parse((await run.outcome).kind === "succeeded" ? await textOf(run) : "null")).toEqual({
      taskId: task.id,
      task: "apart.chatters",
      queue: "default",
      tenant: "acme",
      attempt: 3,
      failures: 1,
      labels: { team: "images" },
      idempotencyKey: task.id,
    });
    expect(said).toBeGreaterThanOrEqual(1);
    expect(said).toBeLessThan(1_000);
  });

  test.each<[string, object]>([
    [
      "throw",
      {
        error: { code: "handler_error", type: "TypeError", message: "no such \\u0000 route" },
        retry: { kind: "policy" },
      },
    ],
    ["terminal", { error: { type: "TerminalError", message: "never again" }, retry: { kind: "never" } }],
    ["retryable", { error: { type: "RetryableError" }, retry: { kind: "after", delayMs: 12_345 } }],
    ["uncaught", { error: { code: "handler_error", message: "thrown by a timer" }, retry: { kind: "policy" } }],
    ["infinite", { error: { code: "result_not_storable" }, retry: { kind: "never" } }],
    [
      "exit",
      {
        error: { code: "process_crashed", message: expect.stringContaining("exited with code 0") },
        retry: { kind: "policy" },
      },
    ],
    [
      "sigkill",
      { error: { code: "process_crashed", message: expect.stringContaining("SIGKILL") }, retry: { kind: "policy" } },
    ],
    [
      "heap",
      {
        error: { code: "out_of_memory", message: expect.stringContaining("memoryMb of 48") },
        retry: { kind: "policy" },
      },
    ],
    [
      "buffers",
      {
        error: { code: "out_of_memory", message: expect.stringContaining("memoryMb of 48") },
        retry: { kind: "policy" },
      },
    ],
  ])("that ends by %s is a failure that says so, and the next attempt runs", async (way, failure) => {
    const pool = poolOf();
    expect(await outcomeOf(pool, "breaks", way)).toMatchObject({ kind: "failed", ...failure });
    expect(await resultOf(pool, "breaks", "messages")).toBe("not impressed");
    await until(() => pool.size === 1);
    expect(childGroups().zombies).toEqual([]);
  });

  test("has the stack of its error and of its cause", async () => {
    const outcome = await outcomeOf(poolOf(), "breaks", "throw");
    const stack = outcome.kind === "failed" ? outcome.error.stack : "";
    expect(stack).toContain("apart.ts");
    expect(stack).toContain("caused by: Error: the cause");
  });

  test("cannot end its attempt by messages of its own, and a promise that it forgets does not end it", async () => {
    const pool = poolOf();
    expect(await resultOf(pool, "breaks", "messages")).toBe("not impressed");
    expect(await resultOf(pool, "breaks", "rejection")).toBe("went on");
  });

  test("is not run with an input that does not fit its schema", async () => {
    expect(await outcomeOf(poolOf(), "strict", { n: "1" })).toMatchObject({
      kind: "failed",
      error: { code: "input_invalid", message: expect.stringContaining("input.n") },
      retry: { kind: "never" },
    });
  });
});

describe("an abort", () => {
  test.each(["cancelled", "timeout", "shutdown", "lease_lost"] as const)(
    "reaches the handler with its reason: %s",
    async (reason) => {
      const run = start(poolOf(), "waits", {});
      const { pid } = await whoRuns(run);
      run.attempt.abort(reason);
      const kinds = { cancelled: "cancelled", timeout: "failed", shutdown: "released", lease_lost: "lost" };
      expect(await run.outcome).toMatchObject({ kind: kinds[reason] });
      expect(run.lines.filter(({ event }) => event === "task.log")).toMatchObject([
        { level: "info", message: "waiting", pid, password: "[redacted]", taskId: run.attempt.task.id, attempt: 3 },
        { message: "aborted", reason },
      ]);
    },
  );

  test("that the handler answers with a result after all: the result counts", async () => {
    const run = start(poolOf(), "waits", { obeys: false });
    await whoRuns(run);
    run.attempt.abort("cancelled");
    expect(await run.outcome).toMatchObject({ kind: "succeeded", resultText: '{"reason":"cancelled"}' });
  });

  test("ends a handler that computes for ever after its grace time, and its slot is not leaked", async () => {
    const pool = poolOf();
    const run = start(pool, "spins", null);
    const { pid } = await whoRuns(run);
    const startedMs = systemClock.nowMs();
    run.attempt.abort("cancelled");
    expect(await run.outcome).toMatchObject({ kind: "cancelled" });
    const tookMs = systemClock.nowMs() - startedMs;
    expect(tookMs).toBeGreaterThanOrEqual(290);
    expect(tookMs).toBeLessThan(3_000);
    expect(await run.leaked).toBe(false);
    expect(isAlive(pid)).toBe(false);
    expect(await resultOf(pool, "echo", "next")).toBe("next");
  });

  test("by the timeout of an attempt that computes for ever is a failure that tells of the kill", async () => {
    const pool = poolOf({ warm: 1 });
    pool.start(tasks.values());
    const { policy } = tasks.get("apart.spins") as TaskDefinition;
    const run = start(pool, "spins", null, { policy: { ...policy, timeoutMs: 3_000, graceMs: 100 } });
    expect(await run.outcome).toMatchObject({
      kind: "failed",
      error: { code: "timeout", message: expect.stringContaining("killed after its grace time of 100 ms") },
      retry: { kind: "policy" },
    });
  });

  test("ends what the handler has started too, though it ignores SIGTERM", async () => {
    const run = start(poolOf(), "waits", { child: true });
    const { pid, other } = await whoRuns(run);
    expect([isAlive(pid), isAlive(other ?? 0)]).toEqual([true, true]);
    run.attempt.abort("cancelled");
    expect(await run.outcome).toMatchObject({ kind: "cancelled" });
    await until(() => groupIsGone(pid));
    expect(isAlive(other ?? 0)).toBe(false);
  });

  test("before the process has started ends the attempt at once, and the process serves the next", async () => {
    const pool = poolOf();
    const run = start(pool, "waits", {});
    run.attempt.abort("cancelled");
    expect(await run.outcome).toMatchObject({ kind: "cancelled" });
    expect(pool.size).toBe(1);
    expect(await resultOf(pool, "echo", 1)).toBe(1);
    expect(pool.size).toBe(1);
  });
});

type Looks = { pid: number; attempts: number; env: Record<string, string>; execArgv: string[] };

describe("the pool", () => {
  test("runs one attempt after the other in one process, and another after one was aborted", async () => {
    const pool = poolOf();
    const [first, second] = [await resultOf<Looks>(pool, "looks"), await resultOf<Looks>(pool, "looks")];
    expect([first.attempts, second.attempts]).toEqual([1, 2]);
    expect(second.pid).toBe(first.pid);
    const run = start(pool, "waits", {});
    expect((await whoRuns(run)).pid).toBe(first.pid);
    run.attempt.abort("shutdown");
    expect(await run.outcome).toMatchObject({ kind: "released" });
    const third = await resultOf<Looks>(pool, "looks");
    expect(third.pid).not.toBe(first.pid);
    expect(third.attempts).toBe(1);
    expect(isAlive(first.pid)).toBe(false);
  });

  test("runs as many at once as it is given, each in a group of its own", async () => {
    const pool = poolOf();
    const runs = Array.from({ length: 6 }, () => start(pool, "waits", {}));
    const pids = await Promise.all(runs.map(async (run) => (await whoRuns(run)).pid));
    expect(new Set(pids).size).toBe(6);
    expect(childGroups().leaders).toEqual(expect.arrayContaining(pids));
    for (const run of runs) run.attempt.abort("cancelled");
    expect(await Promise.all(runs.map(async (run) => (await run.outcome).kind))).toEqual(pids.map(() => "cancelled"));
  });

  test("forks ahead for the tasks that want it, and for no others", async () => {
    const pool = poolOf({ warm: 1 });
    pool.start([]);
    expect(pool.size).toBe(0);
    pool.start(tasks.values());
    // Three kinds: the default, 48 MiB, and with credentials.
    expect(pool.size).toBe(3);
    await resultOf(pool, "echo", 1);
    expect(pool.size).toBeGreaterThanOrEqual(3);
    expect(pool.size).toBeLessThanOrEqual(4);
  });

  test("ends idle processes beyond those it keeps warm", async () => {
    const pool = poolOf({ idleMs: 60 });
    await Promise.all([1, 2, 3].map((n) => resultOf(pool, "echo", n)));
    await until(() => pool.size === 0);
    expect(childGroups().zombies).toEqual([]);
  });

  test("that is closed leaves nothing: not a busy process, not an idle one, not what they have started", async () => {
    const pool = poolOf();
    const [spinning, waiting] = [start(pool, "spins", null), start(pool, "waits", { child: true })];
    const { pid: idle } = await resultOf<Looks>(pool, "looks");
    const seen = await Promise.all([whoRuns(spinning), whoRuns(waiting)]);
    await pool.close();
    expect(pool.size).toBe(0);
    for (const { pid } of [...seen, { pid: idle }]) await until(() => groupIsGone(pid));
    for (const run of [spinning, waiting]) {
      expect(await run.outcome).toEqual({ kind: "released" });
    }
  });

  test("whose modules cannot be loaded fails the attempts and says why, each time", async () => {
    const pool = poolOf({ modules: ["/nowhere/tasks.ts"], warm: 1 });
    pool.start(tasks.values());
    for (const input of [1, 2]) {
      expect(await outcomeOf(pool, "echo", input)).toMatchObject({
        kind: "failed",
        error: { code: "process_unusable", message: expect.stringContaining("/nowhere/tasks.ts") },
        retry: { kind: "policy" },
      });
    }
  });
});

describe("the environment of a process", () => {
  const environment = {
    PATH: process.env.PATH,
    HOME: "/home/nobody",
    TZ: "Europe/Berlin",
    NODE_OPTIONS: "--max-old-space-size-percentage=70 --disable-warning=ExperimentalWarning",
    AWS_ACCESS_KEY_ID: "AKIA",
    AWS_SECRET_ACCESS_KEY: "s3cret",
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: "/v2/credentials/x",
    AWS_REGION: "eu-central-1",
    ECS_CONTAINER_METADATA_URI_V4: "http://169.254.170.2/v4/x",
    DATABASE_URL: "postgres://taskiq:pw@db/taskiq",
    PGPASSWORD: "pw",
    TASKIQ_S3_BUCKET: "payloads",
    STRIPE_API_KEY: "sk_live",
    GITHUB_TOKEN: "ghp",
    OTEL_EXPORTER_OTLP_HEADERS: "x-vendor=a",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-vendor=b",
  };
  const NO_AWS = {
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_EC2_METADATA_DISABLED: "true",
  };

  /** Without what Node itself puts there for the channel, and the system for the folder. */
  function own({ env }: Looks): Record<string, string> {
    return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:NODE_CHANNEL|PWD|SHLVL|_$|__)/.test(name)));
  }

  test("has no credentials and no secrets, but those that it is allowed", async () => {
    const pool = poolOf({ environment, allowedNames: ["STRIPE_API_KEY", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY"] });
    const seen = await resultOf<Looks>(pool, "looks");
    expect(own(seen)).toEqual({
      ...NO_AWS,
      PATH: environment.PATH,
      HOME: "/home/nobody",
      TZ: "Europe/Berlin",
      NODE_OPTIONS: "--disable-warning=ExperimentalWarning",
      STRIPE_API_KEY: "sk_live",
    });
    expect(seen.execArgv).toContain("--max-old-space-size=512");
  });

  test("has the credentials where the task says so, and then still no secrets", async () => {
    const seen = own(await resultOf<Looks>(poolOf({ environment }), "trusted"));
    expect(
      Object.keys(seen)
        .filter((name) => /^(?:AWS|ECS)_/.test(name))
        .sort(),
    ).toEqual(
      Object.keys(environment)
        .filter((name) => /^(?:AWS|ECS)_/.test(name))
        .sort(),
    );
    const secret = ["DATABASE_URL", "PGPASSWORD", "STRIPE_API_KEY", "GITHUB_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS"];
    for (const name of [...secret, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "TASKIQ_S3_BUCKET"]) {
      expect(seen).not.toHaveProperty(name);
    }
  });
});

async function textOf(run: Started): Promise<string> {
  const outcome = await run.outcome;
  return outcome.kind === "succeeded" ? (outcome.resultText ?? "null") : "";
}
