/**
 * Inputs and secrets stay out of the log by default: they are driven through failures of every kind, and every line is searched for them, at level
 * debug and with a line for each attempt.
 */
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { makeKey } from "../runtime/access/key.ts";
import { RetryableError, TerminalError } from "../runtime/define/errors.ts";
import { defineTask } from "../runtime/define/task.ts";
import { loggingMiddleware } from "../runtime/worker/logging.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./api/test-api.ts";
import { usePools } from "./isolation/processes.ts";
import * as apart from "./isolation/tasks/apart.ts";
import { startProcess } from "./support/processes.ts";
import { readTasks } from "./support/tasks.ts";
import { until } from "./support/until.ts";
import { useRig } from "./worker/rig.ts";

/** Nowhere in a name, an id or a sentence of ours. */
const SECRET = "hunter2";
/** Real ones: the database is asked about them, once each. */
const KEYS = [makeKey("test").text, makeKey("test").text] as const;
const SECRETS = [SECRET, ...KEYS.map((key) => key.slice(-30))];

function expectClean(lines: readonly unknown[], events: readonly string[]): void {
  const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
  for (const event of events)
    expect(
      text.some((line) => line.includes(`"${event}"`)),
      event,
    ).toBe(true);
  expect(text.filter((line) => SECRETS.some((secret) => line.includes(secret)))).toEqual([]);
}

describe("of the API", () => {
  let place: PlaceKept;
  let api: TestApi;
  beforeAll(async () => {
    place = await createPlace();
  });
  afterEach(() => api.close());
  afterAll(() => place.drop());

  const headersWith = (key: string) => ({
    authorization: `Bearer ${key}`,
    cookie: `session=${SECRET}`,
    "x-api-key": SECRET,
    "idempotency-key": SECRET,
    tracestate: `v=${SECRET}`,
    baggage: `k=${SECRET}`,
    "x-request-id": `not sane ${SECRET}`,
  });

  test.each(["keys", "none"] as const)("with auth %s nothing of a request is written when it fails", async (auth) => {
    api = await openTestApi(place, { parts: { access: { auth, environment: "test" } } });
    const ask = async (key: string) => {
      const headers = headersWith(key);
      await api.post(`/v1/tasks?q=${SECRET}`, { task: "echo", input: { a: SECRET } }, headers);
      await api.post("/v1/tasks", { task: SECRET, input: SECRET }, headers);
      await api.post("/v1/tasks", { task: "strict", input: { name: 7, list: SECRET } }, headers);
      await api.post("/v1/tasks", `{"task": ${SECRET}`, headers);
      await api.post("/v1/runs", { graph: { steps: [{ key: "a", task: "echo", input: SECRET }] } }, headers);
      await api.get(`/v1/tasks/${SECRET}`, headers);
      await api.get("/v1/tasks/0190a000-0000-7000-8000-000000000001", headers);
    };
    await ask(KEYS[0]);
    // What is in a row that cannot be written stands in the error of the database.
    await api.post("/v1/tasks", { task: "echo", input: { "\u0000": SECRET } });
    await api.database.close();
    await ask(KEYS[1]);
    expectClean(api.lines, ["request.failed"]);
  });
});

describe("of a worker", () => {
  const rig = useRig();
  const poolOf = usePools();

  test("nothing of a task's input is written, however its attempts end", async () => {
    const input = z.object({ value: z.unknown() });
    let tries = 0;
    const tasks = [
      defineTask({ name: "fine", input, run: ({ value }) => ({ value }) }),
      defineTask({ name: "unfit", input: z.object({ value: z.enum(["a", "b"]) }), run: () => {} }),
      defineTask({ name: "terminal", input, run: () => Promise.reject(new TerminalError("no route")) }),
      defineTask({
        name: "again",
        input,
        run() {
          if (tries++ === 0) throw new RetryableError("not now", { retryAfterMs: 60_000 });
        },
      }),
      defineTask({ name: "large", input, run: ({ value }) => ({ value, more: "x".repeat(2_000_000) }) }),
      defineTask({
        name: "endless",
        input,
        run({ value }) {
          const cycle: Record<string, unknown> = { value };
          cycle.cycle = cycle;
          return cycle;
        },
      }),
      defineTask({
        name: "slow",
        input,
        run: (_input, ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", resolve)),
      }),
      defineTask({ name: "parsing", input, run: ({ value }) => JSON.parse(`{"value": ${String(value)}`) }),
      defineTask({
        name: "rejected",
        input,
        run() {
          throw Object.assign(new Error("duplicate key"), { detail: `Key (a)=(${SECRET})`, parameters: [SECRET] });
        },
      }),
      defineTask({
        name: "commits",
        input,
        run: ({ value }) => value,
        commit: async (tx, output) =>
          void (await tx.query("select $1::jsonb -> 'a' from nothing", [`{"a":"${output}"}`])),
      }),
      ...Object.values(apart),
    ];
    rig.start({ tasks, processes: poolOf({ log: rig.log }), middlewares: [loggingMiddleware(rig.log, true)] });
    const named = (name: string, more = {}) => ({ name, input: JSON.stringify({ value: SECRET }), ...more });
    const names = ["fine", "unfit", "terminal", "large", "endless", "parsing", "rejected", "commits"];
    await rig.submit([
      ...names.map((name) => named(name, { maxAttempts: 1 })),
      named("again", { maxAttempts: 5 }),
      named("slow", { timeoutMs: 50, maxAttempts: 1, graceMs: 500 }),
      // The schema of a message in a process of its own refuses it there.
      { name: "apart.breaks", isolation: "process", input: JSON.stringify(SECRET), maxAttempts: 1 },
      { name: "apart.breaks", isolation: "process", input: '"exit"', maxAttempts: 1 },
      named("nobody-knows"),
    ]);
    await rig.send([
      { body: SECRET },
      { body: `{"task_id":"${SECRET}"}` },
      { body: `{"task_id":7,"x":"${SECRET}"}` },
      {
        body: `{"task_id":"a","task_name":"b","labels":{"x":"${SECRET}"},"labels_types":{"x":2},"args":[],"kwargs":{}}`,
      },
      { body: `{"task_id":"a","task_name":"b","labels":"${SECRET}","args":["${SECRET}"],"kwargs":{}}` },
      { body: `["s3", {"bucket":"${SECRET}"}]` },
    ]);
    await until(async () => (await readTasks(rig.database)).filter((row) => row.finished).length === 11, {
      deadlineMs: 20_000,
    });
    await until(() => rig.events("task.retried").length === 1 && rig.events("message.poison").length === 6);
    await until(() => rig.events("task.succeeded", "task.failed").length === 11);
    expectClean(rig.lines, ["task.started", "task.succeeded", "task.failed", "task.retried", "message.poison"]);
  });
});

/** On a machine that is busy with the rest of the tests. */
const START_MS = 60_000;

describe("of a process", { timeout: 2 * START_MS }, () => {
  const ENTRY = fileURLToPath(new URL("../runtime/main.ts", import.meta.url));
  const QUEUE = { name: "default", url: "http://127.0.0.1:1/0/a", deadLetterUrl: "http://127.0.0.1:1/0/b" };

  test.each(["worker", "api", "migrate"])("%s its connection strings and keys are not written", async (role) => {
    const child = startProcess({
      entry: ENTRY,
      env: {
        SERVICE_ROLE: role,
        DATABASE_URL: `postgres://taskiq:${SECRET}@127.0.0.1:1/taskiq?password=${SECRET}`,
        TASKIQ_QUEUES: JSON.stringify([QUEUE]),
        TASKIQ_S3_BUCKET: "payloads",
        TASKIQ_API_KEY: KEYS[0],
        TASKIQ_LOG_LEVEL: "debug",
        TASKIQ_LOG: "tasks",
        TASKIQ_HTTP_PORT: "0",
        TASKIQ_PROBE_PORT: "0",
        AWS_REGION: "us-east-1",
        AWS_ACCESS_KEY_ID: "test",
        AWS_SECRET_ACCESS_KEY: SECRET,
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://u:${SECRET}@127.0.0.1:1`,
        OTEL_EXPORTER_OTLP_HEADERS: `authorization=Basic ${SECRET}${SECRET}`,
      },
    });
    onTestFinished(() => child.signal("SIGKILL"));
    if (role === "migrate") await child.exited;
    else {
      await child.waitForLine(/database\.away/, START_MS);
      child.signal("SIGTERM");
      await child.exited;
    }
    expect(child.lines.length).toBeGreaterThan(0);
    expectClean(child.lines, role === "migrate" ? [] : ["database.away", "process.stopped"]);
  });

  test("that refuses its configuration does not show what is secret in it", async () => {
    const child = startProcess({
      entry: ENTRY,
      env: {
        SERVICE_ROLE: "worker",
        DATABASE_URL: `mysql://u:${SECRET}@h/d`,
        TASKIQ_QUEUES: "no",
        TASKIQ_API_KEY: SECRET,
      },
    });
    expect((await child.exited).code).toBe(1);
    expectClean(child.lines, []);
  });
});
