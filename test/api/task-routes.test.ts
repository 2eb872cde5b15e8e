import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { ask, clearTasks, createTask, readTask, readTasks, SAMPLE_ERROR } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const NOBODY = "0198f3c0-0000-7000-8000-000000000000";

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place, { inlinePayloadBytes: 2_000 });
});
beforeEach(() => clearTasks(api.database));
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

describe("POST /v1/tasks", () => {
  test("accepts a task with nothing but its name", async () => {
    const { status, headers, body } = await api.post("/v1/tasks", { task: "echo" });
    expect(status).toBe(202);
    expect(body).toEqual({ task_id: expect.stringMatching(UUID), state: "queued" });
    expect(headers.location).toBe(`/v1/tasks/${body.task_id}`);
    expect(headers).not.toHaveProperty("idempotency-replayed");
    expect(await readTask(api.database, body.task_id)).toMatchObject({
      state: "queued",
      name: "echo",
      queue: "default",
      tenant: "default",
      priority: 0,
      input: null,
      labels: null,
    });
  });

  test("keeps what the caller says about the task", async () => {
    const { body } = await api.post("/v1/tasks", {
      task: "echo",
      input: { a: [1] },
      queue: "default",
      priority: -100,
      delay_seconds: 3_600.5,
      labels: { team: "images" },
    });
    const row = await readTask(api.database, body.task_id);
    expect(row).toMatchObject({ priority: -100, input: '{"a":[1]}', labels: '{"team":"images"}' });
    expect(row.due_in_ms).toBeGreaterThan(3_590_000);
    expect(row.due_in_ms).toBeLessThanOrEqual(3_600_500);
  });

  test("takes what is said otherwise than the task's definition says, and the rest from there", async () => {
    const defined = await readTask(api.database, (await api.post("/v1/tasks", { task: "echo" })).body.task_id);
    const policy = {
      timeout_ms: 60_000,
      grace_ms: 1,
      max_attempts: 1,
      backoff_ms: 2,
      max_backoff_ms: 3,
      max_losses: 0,
      on_lost: "fail",
    };
    const { body } = await api.post("/v1/tasks", { task: "echo", policy });
    expect(await readTask(api.database, body.task_id)).toMatchObject({ ...policy, isolation: "inline" });
    const one = await api.post("/v1/tasks", { task: "echo", policy: { max_attempts: 7 } });
    expect(await readTask(api.database, one.body.task_id)).toMatchObject({
      max_attempts: 7,
      timeout_ms: defined.timeout_ms,
      on_lost: defined.on_lost,
    });
  });

  test.each([
    ["a policy without bounds", { task: "echo", policy: { timeout_ms: 0 } }, "request_invalid", "policy.timeout_ms"],
    [
      "a policy nobody knows",
      { task: "echo", policy: { isolation: "process" } },
      "request_invalid",
      "policy.isolation",
    ],
    ["a name that nobody defined", { task: "nope" }, "unknown_task", "task"],
    ["a queue that is not configured", { task: "echo", queue: "nope" }, "unknown_queue", "queue"],
    ["no name", {}, "request_invalid", "task"],
    ["a name that is no text", { task: 1 }, "request_invalid", "task"],
    ["a name of 201 characters", { task: "x".repeat(201) }, "request_invalid", "task"],
    ["a field that does not exist", { task: "echo", inputs: 1 }, "request_invalid", "inputs"],
    ["a field called __proto__", '{"task":"echo","__proto__":{"a":1}}', "request_invalid", "__proto__"],
    ["a field called constructor", { task: "echo", constructor: 1 }, "request_invalid", "constructor"],
    ["a priority above 100", { task: "echo", priority: 101 }, "request_invalid", "priority"],
    ["a priority that is no integer", { task: "echo", priority: 0.5 }, "request_invalid", "priority"],
    ["a delay below 0", { task: "echo", delay_seconds: -1 }, "request_invalid", "delay_seconds"],
    ["a delay above a year", { task: "echo", delay_seconds: 31_536_001 }, "request_invalid", "delay_seconds"],
    ["a delay that is null", { task: "echo", delay_seconds: null }, "request_invalid", "delay_seconds"],
    ["labels in a list", { task: "echo", labels: ["a"] }, "request_invalid", "labels"],
    ["a label that is no text", { task: "echo", labels: { a: 1 } }, "request_invalid", "labels.a"],
    [
      "a label called __proto__ that is no text",
      '{"task":"echo","labels":{"__proto__":1}}',
      "request_invalid",
      "labels.__proto__",
    ],
    ["a reserved label", { task: "echo", labels: { taskiq_aws: "x" } }, "request_invalid", "labels.taskiq_aws"],
    ["a label of 1,001 characters", { task: "echo", labels: { a: "x".repeat(1_001) } }, "request_invalid", "labels.a"],
    [
      "51 labels",
      { task: "echo", labels: Object.fromEntries([...Array(51).keys()].map((n) => [n, ""])) },
      "request_invalid",
      "labels",
    ],
    [
      "input that the task's schema refuses",
      { task: "strict", input: { name: "x", list: [1, "2"] } },
      "input_invalid",
      "input.list.1",
    ],
    ["no input where the task needs one", { task: "strict" }, "input_invalid", "input"],
    ["a body that is a list", [], "request_invalid", ""],
    ["a body that is null", "null", "request_invalid", ""],
    ["a body that is a text", '"x"', "request_invalid", ""],
    [
      "an integer that would be rounded",
      '{"task":"echo","input":{"n":[0,9007199254740993]}}',
      "request_invalid",
      "input.n.1",
    ],
    ["a number that is infinite", '{"task":"echo","delay_seconds":1e999}', "request_invalid", "delay_seconds"],
  ])("refuses %s, by its path", async (_what, payload, code, path) => {
    const { status, headers, body } = await api.post("/v1/tasks", payload);
    expect(status).toBe(422);
    expect(headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({
      type: `urn:taskiq-aws:error:${code}`,
      status: 422,
      code,
      title: expect.any(String),
      detail: expect.any(String),
      instance: expect.any(String),
    });
    expect(body.issues.map((issue) => issue.path)).toEqual([path]);
    expect(await readTasks(api.database)).toEqual([]);
  });

  test("names every field that is wrong, and no more than a hundred", async () => {
    const { body } = await api.post("/v1/tasks", { task: 1, priority: "high", extra: 1 });
    expect(body.issues.map((issue) => issue.path).sort()).toEqual(["extra", "priority", "task"]);

    const many = Object.fromEntries([...Array(5_000).keys()].map((n) => [`field_${n}`, n]));
    const answer = await api.post("/v1/tasks", { task: "echo", ...many });
    expect(answer.body.issues).toHaveLength(100);
    expect(answer.text.length).toBeLessThan(20_000);
  });

  test("keeps names that mean something to JavaScript as data", async () => {
    const input = '{"__proto__":{"polluted":true},"constructor":{"prototype":1},"toJSON":"x","length":1}';
    const labels = '{"__proto__":"a","constructor":"b"}';
    const { status, body } = await api.post("/v1/tasks", `{"task":"echo","input":${input},"labels":${labels}}`);
    expect(status).toBe(202);
    const { text } = await api.get(`/v1/tasks/${body.task_id}`);
    expect(text).toContain(`"input":${input},`);
    expect(text).toContain(`"labels":${labels},`);
    expect({}).not.toHaveProperty("polluted");
  });

  test.each([
    ["U+0000", String.raw`"a\u0000b"`],
    ["half of a surrogate pair", String.raw`"\ud800 and \udfff"`],
    ["an emoji", '"👩‍🚀"'],
    ["-0", "-0.0"],
    ["the largest integers", "[9007199254740992,-9007199254740992,9007199254740994]"],
    ["fractions and exponents", "[0.1,1.7976931348623157e+308,5e-324]"],
    ["the text null", '"null"'],
    ["empty things", '["",{},[],{"":""}]'],
  ])("gives %s back unchanged, in the input and in labels", async (_what, text) => {
    const value: unknown = JSON.parse(text);
    const label = typeof value === "string" ? value : "x";
    const body = `{"task":"echo","input":[${text}],"labels":{"l":${JSON.stringify(label)}}}`;
    const created = await api.post("/v1/tasks", body);
    expect(created.status).toBe(202);
    const task = await api.get(`/v1/tasks/${created.body.task_id}`);
    expect(task.body.input).toEqual([value]);
    expect(task.body.labels).toEqual({ l: label });
  });

  test("takes the last of members with one name", async () => {
    const { body } = await api.post("/v1/tasks", '{"task":"strict","task":"echo","input":1,"input":2}');
    expect(await readTask(api.database, body.task_id)).toMatchObject({ name: "echo", input: "2" });
  });

  test("refuses what is nested deeper than a schema can follow, and accepts 990 levels", async () => {
    const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
    for (const task of ["echo", "recursive"]) {
      const created = await api.post("/v1/tasks", `{"task":"${task}","input":${nested(990)}}`, {
        "idempotency-key": task,
      });
      if (task === "echo") expect(created.status).toBe(202);
      else expect([202, 422]).toContain(created.status);
      const deep = await api.post("/v1/tasks", `{"task":"${task}","input":${nested(1_001)}}`);
      expect(deep).toMatchObject({ status: 422, body: { code: "request_invalid" } });
      const list = `${"[".repeat(500_000)}${"]".repeat(500_000)}`;
      expect(await api.post("/v1/tasks", `{"task":"${task}","input":${list}}`)).toMatchObject({ status: 422 });
    }
  });

  test("an input that a task's schema cannot follow is the caller's mistake", async () => {
    const { status, body } = await api.post("/v1/tasks", { task: "endless", input: 1 });
    expect(status).toBe(422);
    expect(body).toMatchObject({ code: "request_invalid", issues: [{ path: "input" }] });
  });

  test("refuses an input above the limit of payloads, though the body is within its own", async () => {
    const small = await openTestApi(place, { limits: { maxPayloadBytes: 100_000 } });
    try {
      const answer = await small.post("/v1/tasks", { task: "echo", input: "x".repeat(100_001) });
      expect(answer).toMatchObject({ status: 413, body: { code: "payload_too_large" } });
    } finally {
      await small.close();
    }
  });
});

describe("POST /v1/tasks/batch", () => {
  test("gives the ids in the order of the tasks", async () => {
    const tasks = [...Array(1_000).keys()].map((n) => ({ task: "echo", input: n, labels: { n: String(n) } }));
    const { status, body } = await api.post("/v1/tasks/batch", { tasks });
    expect(status).toBe(202);
    expect(new Set(body.task_ids).size).toBe(1_000);
    const inputs = new Map((await readTasks(api.database)).map((row) => [row.id, row.input]));
    expect(body.task_ids.map((id) => inputs.get(id))).toEqual(tasks.map(({ input }) => String(input)));
  });

  test.each([
    ["a schema", { task: "strict", input: { name: 1 } }, "input_invalid", "tasks.2.input.name"],
    ["the shape", { task: "echo", priority: 1_000 }, "request_invalid", "tasks.2.priority"],
    ["a name", { task: "nope" }, "unknown_task", "tasks.2.task"],
    ["a queue", { task: "echo", queue: "nope" }, "unknown_queue", "tasks.2.queue"],
  ])("makes no task when one of them is refused for %s", async (_what, bad, code, path) => {
    const good = { task: "echo" };
    const { status, body } = await api.post("/v1/tasks/batch", { tasks: [good, good, bad, good] });
    expect(status).toBe(422);
    expect(body).toMatchObject({ code, issues: [{ path }] });
    expect(await readTasks(api.database)).toEqual([]);
  });

  test("names the task of a list of one like any other", async () => {
    const { body } = await api.post("/v1/tasks/batch", { tasks: [{ task: "strict", input: { name: 1 } }] });
    expect(body).toMatchObject({ code: "input_invalid", issues: [{ path: "tasks.0.input.name" }] });
  });

  test.each([
    ["no task", { tasks: [] }, "tasks"],
    ["1,001 tasks", { tasks: Array(1_001).fill({ task: "echo" }) }, "tasks"],
    ["a list in place of an object", [{ task: "echo" }], ""],
    ["nothing called tasks", {}, "tasks"],
  ])("refuses %s", async (_what, payload, path) => {
    const { status, body } = await api.post("/v1/tasks/batch", payload);
    expect(status).toBe(422);
    expect(body.issues.map((issue) => issue.path)).toEqual([path]);
  });
});

describe("GET /v1/tasks/{id}", () => {
  test("shows a queued task whole", async () => {
    const { body: created } = await api.post("/v1/tasks", { task: "echo", input: { a: 1 }, priority: 7 });
    const { status, headers, body } = await api.get(`/v1/tasks/${created.task_id}`);
    expect(status).toBe(200);
    expect(headers["content-type"]).toMatch(/^application\/json/);
    expect(headers["cache-control"]).toBe("no-store");
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(body).toEqual({
      task_id: created.task_id,
      task: "echo",
      attempts: [],
      cancel_reason: null,
      cancel_requested: false,
      ordering_key: null,
      queue: "default",
      state: "queued",
      attempt: 0,
      failures: 0,
      losses: 0,
      priority: 7,
      labels: {},
      run_id: null,
      step_key: null,
      timeout_ms: 3_600_000,
      max_attempts: 3,
      trace_id: null,
      input: { a: 1 },
      result: null,
      error: null,
      worker: null,
      progress: null,
      progress_message: null,
      due_at: time,
      created_at: time,
      started_at: null,
      finished_at: null,
    });
  });

  test("shows a running and a failed task", async () => {
    const running = await createTask(api.database, {
      state: "running",
      attempt: 3,
      progress: 0.25,
      progressMessage: 'a "b"\n',
    });
    const failed = await createTask(api.database, { state: "failed", failures: 3, losses: 1 });
    expect((await api.get(`/v1/tasks/${running}`)).body).toMatchObject({
      state: "running",
      attempt: 3,
      worker: "worker-1",
      progress: 0.25,
      progress_message: 'a "b"\n',
      started_at: expect.any(String),
      finished_at: null,
    });
    expect((await api.get(`/v1/tasks/${failed}`)).body).toMatchObject({
      state: "failed",
      failures: 3,
      losses: 1,
      error: SAMPLE_ERROR,
      result: null,
      finished_at: expect.any(String),
    });
  });

  test("says which step of which run it is, and in which trace it was submitted", async () => {
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const runId = "0198f3c0-0000-7000-8000-000000000001";
    const step = { runId, stepKey: "load", timeoutMs: 5_000, maxAttempts: 7 };
    const id = await createTask(api.database, { ...step, traceContext: `00-${traceId}-b7ad6b7169203331-01` });
    expect((await api.get(`/v1/tasks/${id}`)).body).toMatchObject({
      run_id: runId,
      step_key: "load",
      timeout_ms: 5_000,
      max_attempts: 7,
      trace_id: traceId,
    });
    const odd = await createTask(api.database, { traceContext: "something else" });
    expect((await api.get(`/v1/tasks/${odd}`)).body).toMatchObject({ trace_id: null });
  });

  test("gives input and result as the very text that is stored", async () => {
    const input = String.raw`{ "b":1.0,"a":18446744073709551616, "a":-0,"u":"\ud800\u0000" }`;
    const id = await createTask(api.database, { state: "succeeded", input, result: "1e400" });
    const { text } = await api.get(`/v1/tasks/${id}`);
    expect(text).toContain(`"input":${input},"result":1e400,`);
  });

  test("fetches what is kept in the payload store", async () => {
    const input = { text: "é👩‍🚀".repeat(10_000), lone: "\ud800" };
    const { body: created } = await api.post("/v1/tasks", { task: "echo", input });
    expect(await readTask(api.database, created.task_id)).toMatchObject({ input: null, input_ref: expect.any(String) });
    expect((await api.get(`/v1/tasks/${created.task_id}`)).body.input).toEqual(input);
  });

  test("says when a payload is no longer in the store, and not where it was", async () => {
    const inputRef = `v1/2026-01-01/${NOBODY}/${"0".repeat(64)}`;
    const id = await createTask(api.database, { inputRef });
    const { status, text, body } = await api.get(`/v1/tasks/${id}`);
    expect(status).toBe(500);
    expect(body.code).toBe("payload_missing");
    expect(text).not.toContain("v1/2026");
  });

  test("takes an id without hyphens and in capitals", async () => {
    const id = await createTask(api.database);
    for (const form of [id.replaceAll("-", ""), id.toUpperCase()]) {
      expect((await api.get(`/v1/tasks/${form}`)).body.task_id).toBe(id);
    }
  });

  test("does not know an id that no task has", async () => {
    expect(await api.get(`/v1/tasks/${NOBODY}`)).toMatchObject({ status: 404, body: { code: "task_not_found" } });
    expect(await api.get(`/v1/tasks/${NOBODY}?wait_seconds=60`)).toMatchObject({ status: 404 });
  });

  test("does not show another tenant's task", async () => {
    const id = await createTask(api.database, { tenant: "other" });
    expect(await api.get(`/v1/tasks/${id}`)).toMatchObject({ status: 404, body: { code: "task_not_found" } });
  });

  test.each([
    ["abc", "id"],
    [`${NOBODY}0`, "id"],
    [encodeURIComponent("' or 1=1 --"), "id"],
    [`${NOBODY}?wait_seconds=61`, "wait_seconds"],
    [`${NOBODY}?wait_seconds=-1`, "wait_seconds"],
    [`${NOBODY}?wait_seconds=soon`, "wait_seconds"],
    [`${NOBODY}?wait_seconds=1&wait_seconds=2`, "wait_seconds"],
    [`${NOBODY}?wait=1`, "wait"],
  ])("refuses %s", async (path, field) => {
    const { status, body } = await api.get(`/v1/tasks/${path}`);
    expect(status).toBe(422);
    expect(body).toMatchObject({ code: "request_invalid", issues: [{ path: field }] });
  });

  test("waits until the task is over, and answers then", async () => {
    const id = await createTask(api.database, { state: "running" });
    const startedMs = systemClock.nowMs();
    const before = api.database.statements;
    const waiting = api.get(`/v1/tasks/${id}?wait_seconds=60`);
    // One reads the row, the next is a poll.
    await until(() => api.database.statements >= before + 2);
    await finish(id);
    expect((await waiting).body).toMatchObject({ state: "succeeded", result: [1] });
    expect(systemClock.nowMs() - startedMs).toBeLessThan(10_000);
  });

  test("answers with the task as it is when the time is up", async () => {
    const id = await createTask(api.database, { state: "running" });
    const startedMs = systemClock.nowMs();
    expect((await api.get(`/v1/tasks/${id}?wait_seconds=0.2`)).body).toMatchObject({ state: "running" });
    expect(systemClock.nowMs() - startedMs).toBeGreaterThanOrEqual(199);
  });

  test("answers at once for a task that is over", async () => {
    const id = await createTask(api.database, { state: "cancelled" });
    const startedMs = systemClock.nowMs();
    expect((await api.get(`/v1/tasks/${id}?wait_seconds=60`)).body).toMatchObject({ state: "cancelled" });
    expect(systemClock.nowMs() - startedMs).toBeLessThan(5_000);
  });

  test("answers a thousand callers that wait for different tasks", async () => {
    const ids = await Promise.all([...Array(20).keys()].map(() => createTask(api.database, { state: "running" })));
    const before = api.database.statements;
    const waiting = [...Array(1_000).keys()].map((n) => api.get(`/v1/tasks/${ids[n % 20]}?wait_seconds=60`));
    await until(() => api.database.statements >= before + 1_000);
    await Promise.all(ids.map(finish));
    const states = (await Promise.all(waiting)).map(({ body }) => body.state);
    expect(new Set(states)).toEqual(new Set(["succeeded"]));
  });
});

async function finish(id: string): Promise<void> {
  await ask(
    api.database,
    `update taskiq.task
        set state = 'succeeded', worker = null, lease_until = null, finished_at = now(), result = '[1]'
      where id = $1`,
    [id],
  );
}
