/** TaskIQ both ways, with the real packages: a producer and a worker of Python, an API and two workers of ours, one emulator. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CreateQueueCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Client, createClient } from "../../runtime/client/client.ts";
import { JsonText } from "../../runtime/client/task-request.ts";
import { serviceUser, temporaryFolder } from "../../runtime/local/service-user.ts";
import { wireIdOfAttempt } from "../../runtime/python/call.ts";
import { type System, startSystem } from "../support/system.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { BIN } from "./venv.ts";

type Call = {
  readonly task: string;
  readonly args?: readonly unknown[];
  readonly kwargs?: object;
  readonly labels?: object;
  /** How often its message is sent. Default once. */
  readonly times?: number;
  /** A value of Python that JSON has no word for, as the one argument. */
  readonly kind?: string;
};
type Answer = {
  readonly index: number;
  readonly task_id: string;
  readonly labels?: object;
  readonly value?: unknown;
  readonly error?: string;
  readonly message?: string;
  readonly timeout?: true;
};

const PYTHON = fileURLToPath(new URL("./python", import.meta.url));
const TASKS = fileURLToPath(new URL("./tasks.ts", import.meta.url));
const RESULTS = { ours: "results/for-python", theirs: "results/of-python" };

let system: System;
let client: Client;
let worker: ChildProcess | undefined;
let pythonEnv: Record<string, string>;
let pythonUrl: string;
let ranFile: string;
let sqs: SQSClient;

beforeAll(async () => {
  system = await startSystem();
  const { aws } = system;
  const { endpoint, region, credentials, bucket } = aws;
  sqs = new SQSClient({ endpoint, region, credentials });
  const create = async (QueueName: string): Promise<string> =>
    String((await sqs.send(new CreateQueueCommand({ QueueName }))).QueueUrl);
  pythonUrl = await create("python");
  const TASKIQ_QUEUES = JSON.stringify([
    { ...aws.queues[0], accepts: { tenant: "default" }, results: { basePath: RESULTS.ours } },
    {
      name: "python",
      url: pythonUrl,
      deadLetterUrl: await create("python-dead"),
      wire: "taskiq",
      results: { basePath: RESULTS.theirs },
    },
  ]);
  const env = {
    TASKIQ_QUEUES,
    TASKIQ_TASK_MODULES: TASKS,
    TASKIQ_PYTHON_INTERVAL_MS: "200",
    TASKIQ_WORKER_SLOTS: "20",
  };
  const api = await system.startApi(env);
  await Promise.all(["worker-1", "worker-2"].map((name) => system.startWorker(name, env)));
  client = createClient({ baseUrl: api.url });

  ranFile = join(await temporaryFolder(serviceUser(), "interop"), "ran");
  await writeFile(ranFile, "");
  pythonEnv = {
    ...(process.env as Record<string, string>),
    PYTHONDONTWRITEBYTECODE: "1",
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    INTEROP_BUCKET: bucket,
    INTEROP_LOG: ranFile,
  };
  worker = startPythonWorker();
});

afterAll(async () => {
  if (worker !== undefined) await kill(worker);
  sqs?.destroy();
  await system?.stop();
});

/** TaskIQ's manager and its child, in a group of their own. */
function startPythonWorker(): ChildProcess {
  return spawn(join(BIN, "taskiq"), ["worker", "worker:broker", "--workers", "1", "--max-async-tasks", "50"], {
    cwd: PYTHON,
    env: { ...pythonEnv, INTEROP_QUEUE: "python", INTEROP_BASE_PATH: RESULTS.theirs },
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
  });
}

/** Without a chance to give anything back. */
async function kill(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null || process.pid === undefined) return;
  const exited = once(process, "exit");
  globalThis.process.kill(-process.pid, "SIGKILL");
  await exited;
}

/** What a producer of Python gets for its calls. */
async function fromPython(calls: readonly Call[], options: object = {}): Promise<Answer[]> {
  const queue = system.aws.queues[0]?.url.split("/").at(-1) ?? "";
  const child = spawn(join(BIN, "python"), ["client.py", JSON.stringify(options)], {
    cwd: PYTHON,
    env: { ...pythonEnv, INTEROP_QUEUE: queue, INTEROP_BASE_PATH: RESULTS.ours },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(calls.map((call) => JSON.stringify(call)).join("\n"));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  const [code] = await once(child, "close");
  expect(code).toBe(0);
  const answers = text
    .trim()
    .split("\n")
    .map((line): Answer => JSON.parse(line));
  return answers.sort((a, b) => a.index - b.index);
}

const ran = async (name: string): Promise<number> =>
  (await readFile(ranFile, "utf8")).split("\n").filter((line) => line === name).length;

const outcomes = async (): Promise<Record<string, number>> => {
  const rows = await ask<{ state: string; attempts: number; count: number }>(
    system.database,
    "select state::text, sum(attempt)::int as attempts, count(*)::int from taskiq.task group by state",
  );
  return Object.fromEntries(
    rows.flatMap(({ state, count, attempts }) => [
      [state, count],
      [`${state} attempts`, attempts],
    ]),
  );
};

/** Every kind of argument, each with what Python is to see. */
const KINDS: readonly (readonly [Call, Partial<Answer>])[] = [
  [{ task: "ts.add", args: [2, 3] }, { value: 5 }],
  [{ task: "ts.add", kwargs: { a: 2, b: 40 } }, { value: 42 }],
  [{ task: "ts.add", args: ["2"], kwargs: { b: "3" } }, { value: 5 }],
  [{ task: "ts.add", args: [1] }, { value: 1 }],
  [{ task: "ts.echo" }, { value: null }],
  [{ task: "ts.echo", args: [1.5] }, { value: 1.5 }],
  [{ task: "ts.echo", args: [true] }, { value: true }],
  [{ task: "ts.echo", args: [[1, [2, { a: null }]]] }, { value: [1, [2, { a: null }]] }],
  [{ task: "ts.echo", args: ['é中🚀\u2028 \u0000\u001f"\\/'] }, { value: 'é中🚀\u2028 \u0000\u001f"\\/' }],
  [{ task: "ts.echo", kwargs: { __proto__x: 1, constructor: 2 } }, { value: { __proto__x: 1, constructor: 2 } }],
  [{ task: "ts.echo", kind: "datetime" }, { value: "2026-11-21T06:30:00.005000Z" }],
  [{ task: "ts.echo", kind: "date" }, { value: "2026-11-21" }],
  [{ task: "ts.echo", kind: "timedelta" }, { value: "PT1M30.5S" }],
  [{ task: "ts.echo", kind: "uuid" }, { value: "00000000-0000-0000-0000-000000000007" }],
  [{ task: "ts.echo", kind: "decimal" }, { value: "1.50" }],
  [{ task: "ts.echo", kind: "tuple" }, { value: [1, "two", null] }],
  [{ task: "ts.echo", kind: "set" }, { value: [3] }],
  [{ task: "ts.echo", kind: "bytes" }, { value: "ü" }],
  [{ task: "ts.echo", kind: "nan" }, { value: null }],
  [
    { task: "ts.add", args: [1, 2], labels: { n: 7, f: 5.5, b: true, s: "x" } },
    { value: 3, labels: { n: 7, f: 5.5, b: true, s: "x" } },
  ],
  [{ task: "ts.add", args: [1, 2], labels: { delay: 1, priority: 5 } }, { value: 3 }],
  [
    { task: "ts.fail", args: ["bad"] },
    { error: "RangeError", message: "bad" },
  ],
  [{ task: "ts.add", kwargs: { a: "two" } }, { error: "TaskiqError" }],
  [{ task: "ts.add", args: [1, 2, 3] }, { error: "TypeError" }],
  [{ task: "ts.hang", labels: { timeout: 0.3 } }, { error: "TimeoutError" }],
  [{ task: "ts.echo", args: ["x".repeat(1_200_000)] }, { value: "x".repeat(1_200_000) }],
];

test("500 calls of a producer of Python come back with their results, those that were sent twice ran once", async () => {
  const wanted = Array.from({ length: 500 }, (_, index) => {
    // The large one once; every hundredth message is doubled.
    const [call, answer] = KINDS[
      index % (index < KINDS.length ? KINDS.length : KINDS.length - 1)
    ] as (typeof KINDS)[number];
    return { call: { ...call, ...(index % 100 === 7 && { times: 2 }) }, answer };
  });
  const answers = await fromPython(wanted.map(({ call }) => call));
  expect(answers).toHaveLength(500);
  for (const [index, { answer }] of wanted.entries()) expect(answers[index]).toMatchObject(answer);
  const { failed, succeeded, ...rest } = await outcomes();
  expect((failed ?? 0) + (succeeded ?? 0)).toBe(500);
  // Each ran once at most: arguments that do not fit never do.
  expect(rest["succeeded attempts"]).toBe(succeeded);
  const unfit = wanted.filter(({ answer }) => answer.error === "TypeError").length;
  expect(rest["failed attempts"]).toBe((failed ?? 0) - unfit);
});

test("messages that the producer sends in batches are taken as well", async () => {
  const calls = Array.from({ length: 25 }, (_, n): Call => ({ task: "ts.add", args: [n, n] }));
  const answers = await fromPython(calls, { enable_batching: true, batch_timeout: 0.2 });
  expect(answers.map(({ value }) => value)).toEqual(calls.map((_, n) => 2 * n));
});

test("500 tasks of ours run in Python, those whose message is doubled complete once", async () => {
  const inputs = [
    { a: 1, b: [1.5, null, true], c: { d: "é中🚀" } },
    { text: "x".repeat(1_000) },
    new JsonText('{"one":1.0,"tiny":1e-7}'),
    [1, [2]],
    "text",
    null,
  ];
  const { taskIds } = await client.enqueueBatch(
    Array.from({ length: 500 }, (_, n) => ({ task: "python.echo", input: inputs[n % inputs.length] })),
  );
  for (const id of taskIds.filter((_, n) => n % 100 === 0)) {
    const wireId = wireIdOfAttempt({ id, attempt: 1 });
    const body = { task_id: wireId, task_name: "python.echo", labels: {}, labels_types: {}, args: [], kwargs: {} };
    await sqs.send(new SendMessageCommand({ QueueUrl: pythonUrl, MessageBody: JSON.stringify(body) }));
  }
  const tasks = await Promise.all(taskIds.map((id) => client.wait(id, { timeoutMs: 120_000 })));
  expect(new Set(tasks.map(({ state, attempt }) => `${state} ${attempt}`))).toEqual(new Set(["succeeded 1"]));
  const doubled = (n: number) => n % 100 === 0;
  for (const [n, task] of tasks.entries()) {
    if (doubled(n)) continue;
    const input = inputs[n % inputs.length];
    if (input instanceof JsonText) continue;
    const isNamed = typeof input === "object" && input !== null && !Array.isArray(input);
    expect(task.result).toEqual({ args: isNamed || input === null ? [] : [input], kwargs: isNamed ? input : {} });
  }
  expect(await ran("echo")).toBe(505);
});

test("failures and timeouts cross the border, and are tried again by the task's policy", async () => {
  const failing = await client.enqueue("python.fail", { why: "no such row" });
  const slow = await client.enqueue("python.sleep", { seconds: 60 });
  const [failed, late] = await Promise.all(
    [failing, slow].map(({ taskId }) => client.wait(taskId, { timeoutMs: 60_000 })),
  );
  expect(failed).toMatchObject({
    state: "failed",
    attempt: 2,
    error: { code: "handler_error", type: "LookupError", message: "no such row" },
  });
  expect(late).toMatchObject({ state: "failed", attempt: 1, error: { code: "timeout" } });
  expect(await ran("fail")).toBe(2);
});

test("a run has steps of both languages", async () => {
  const { runId } = await client.runs.start({ job: "both-languages", input: { count: 4 } });
  const run = await client.runs.wait(runId, { timeoutMs: 60_000 });
  expect(run).toMatchObject({ state: "succeeded" });
  const sum = run.steps.find(({ key }) => key === "sum");
  expect((await client.get(sum?.taskId ?? "")).result).toBe(20);
});

test("what a worker of Python dropped is tried again", async () => {
  const before = await ran("sleep");
  const policy = { maxAttempts: 3, backoffMs: 0 };
  const { taskId } = await client.enqueue("python.sleep", { seconds: 1 }, { policy });
  await until(async () => (await ran("sleep")) > before, { what: "the start in Python" });
  await kill(worker as ChildProcess);
  worker = startPythonWorker();
  const task = await client.wait(taskId, { timeoutMs: 90_000 });
  expect(task).toMatchObject({ state: "succeeded", result: "slept", failures: 1 });
  expect(task.attempts).toMatchObject([{ attempt: 1, error: { code: "timeout" } }]);
});
