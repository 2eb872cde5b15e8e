import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { createSchedule, readSchedule } from "../support/schedules.ts";
import { ask, clearTasks, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { type Answer, createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const NOBODY = "0198f3c0-0000-7000-8000-000000000000";
const NIGHTLY = { name: "nightly", task: "echo", cron: "30 2 * * 1-5", time_zone: "Europe/Berlin" };

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place, {});
});
beforeEach(() => clearTasks(api.database));
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

const create = (body: object, headers: Record<string, string> = {}) =>
  api.post("/v1/schedules", { ...NIGHTLY, ...body }, headers);
const idOf = ({ body }: Answer) => String(body.schedule_id);
const list = async (query = "") => (await api.get(`/v1/schedules${query}`)).body as unknown as Page;
type Page = { schedules: { name: string; schedule_id: string }[]; next: string | null };

describe("POST /v1/schedules", () => {
  test("creates a schedule and shows it", async () => {
    const answer = await create({ input: { a: 1 }, priority: 7, labels: { team: "x" } });
    expect(answer.status).toBe(201);
    expect(answer.headers.location).toBe(`/v1/schedules/${idOf(answer)}`);
    expect(answer.body).toEqual({
      schedule_id: expect.any(String),
      name: "nightly",
      state: "active",
      task: "echo",
      input: { a: 1 },
      queue: null,
      priority: 7,
      ordering_key: null,
      labels: { team: "x" },
      cron: "30 2 * * 1-5",
      time_zone: "Europe/Berlin",
      interval_seconds: null,
      catch_up: "one",
      catch_up_limit: 100,
      overlap: "allow",
      problem: null,
      next_at: expect.stringMatching(/T0[01]:30:00\.000Z$/),
      last_fired_for: null,
      last_task_id: null,
      fired: 0,
      overlapped: 0,
      created_at: expect.any(String),
    });
    expect((await api.get(`/v1/schedules/${idOf(answer)}`)).body).toEqual(answer.body);
  });

  test("counts an interval from now on, by the database's clock", async () => {
    const body = { name: "often", task: "echo", interval_seconds: 90.5 };
    const answer = await api.post("/v1/schedules", body);
    expect(answer).toMatchObject({ status: 201, body: { interval_seconds: 90.5, cron: null, time_zone: null } });
    const { next_in_ms: inMs } = await readSchedule(api.database, idOf(answer));
    expect(inMs).toBeGreaterThan(85_000);
    expect(inMs).toBeLessThanOrEqual(90_500);
  });

  test("takes a time zone for UTC, where none is given", async () => {
    const answer = await create({ time_zone: undefined, cron: "@daily" });
    expect(answer.body).toMatchObject({ time_zone: "UTC", next_at: expect.stringContaining("T00:00:00") });
  });

  test("can create it paused", async () => {
    expect((await create({ paused: true })).body).toMatchObject({ state: "paused", next_at: null });
  });

  test("refuses a name that is taken, and leaves that schedule alone", async () => {
    await create({});
    expect(await create({ cron: "0 0 * * *" })).toMatchObject({ status: 409, body: { code: "schedule_exists" } });
    expect((await list()).schedules).toMatchObject([{ cron: NIGHTLY.cron }]);
  });

  test("the same idempotency key makes the same schedule, and no other with another body", async () => {
    const headers = { "idempotency-key": "s-1" };
    const [first, second] = await Promise.all([create({}, headers), create({}, headers)]);
    const third = await create({}, headers);
    expect([first.status, second.status, third.status]).toEqual([201, 201, 201]);
    expect(new Set([first, second, third].map(idOf)).size).toBe(1);
    expect(third.headers["idempotency-replayed"]).toBe("true");
    expect(await create({ priority: 1 }, headers)).toMatchObject({
      status: 422,
      body: { code: "idempotency_mismatch" },
    });
    expect((await list()).schedules).toHaveLength(1);
    const audits = await ask(
      api.database,
      "select action from taskiq.audit where action like 'schedule.%' and target = $1",
      [idOf(first)],
    );
    expect(audits).toEqual([{ action: "schedule.create" }]);
  });

  test.each([
    ["a task that nobody defined", { task: "nothing" }, "unknown_task", "task"],
    ["a queue that is not there", { queue: "nowhere" }, "unknown_queue", "queue"],
    ["input that does not fit", { task: "strict", input: { name: 1 } }, "input_invalid", "input.name"],
    ["input that a schema cannot follow", { task: "endless" }, "request_invalid", "input"],
    ["an ordering key without a FIFO queue", { ordering_key: "a" }, "request_invalid", "ordering_key"],
    ["a cron expression that is none", { cron: "every day" }, "schedule_invalid", "cron"],
    ["a day that never comes", { cron: "0 0 30 2 *" }, "schedule_invalid", "cron"],
    ["a time zone that is none", { time_zone: "Berlin" }, "schedule_invalid", "time_zone"],
    ["both ways to be due", { interval_seconds: 60 }, "request_invalid", "interval_seconds"],
    ["no way to be due", { cron: undefined, time_zone: undefined }, "request_invalid", "cron"],
    ["a zone without cron", { cron: undefined, interval_seconds: 60 }, "request_invalid", "time_zone"],
    [
      "an interval below a second",
      { cron: undefined, time_zone: undefined, interval_seconds: 0.5 },
      "request_invalid",
      "interval_seconds",
    ],
    ["another catch-up policy", { catch_up: "some" }, "request_invalid", "catch_up"],
    ["a bound beyond the bound", { catch_up_limit: 101 }, "request_invalid", "catch_up_limit"],
    ["another overlap policy", { overlap: "kill" }, "request_invalid", "overlap"],
    ["an empty name", { name: "" }, "request_invalid", "name"],
    ["a name with a line break", { name: "a\nb" }, "request_invalid", "name"],
    ["a delay", { delay_seconds: 1 }, "request_invalid", "delay_seconds"],
    ["a reserved label", { labels: { taskiq_aws_schedule: "x" } }, "request_invalid", "labels.taskiq_aws_schedule"],
  ])("refuses %s, by its path", async (_name, body, code, path) => {
    const answer = await create(body);
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 422, code });
    expect(answer.body.issues.map((issue) => issue.path)).toContain(path);
    expect((await list()).schedules).toEqual([]);
  });

  test("refuses input that is too large to be kept in a schedule", async () => {
    const answer = await create({ input: "x".repeat(262_143) });
    expect(answer).toMatchObject({ status: 413, body: { code: "payload_too_large" } });
  });
});

describe("GET /v1/schedules", () => {
  test("lists all in the order of their names, a page at a time", async () => {
    for (const name of ["c", "a", "d", "b"]) await create({ name });
    const first = await list("?limit=3");
    expect(first.schedules.map(({ name }) => name)).toEqual(["a", "b", "c"]);
    const second = await list(`?limit=3&after=${first.next}`);
    expect(second).toMatchObject({ schedules: [{ name: "d" }], next: null });
    expect((await list("?name=b")).schedules.map(({ name }) => name)).toEqual(["b"]);
    expect(await list("?name=x")).toEqual({ schedules: [], next: null });
  });

  test.each(["?limit=0", "?limit=501", "?limit=x", "?page=2"])("refuses %s", async (query) => {
    expect(await api.get(`/v1/schedules${query}`)).toMatchObject({ status: 422, body: { code: "request_invalid" } });
  });
});

describe("pause and resume", () => {
  test("stop a schedule and let it go on from now, as often as asked", async () => {
    const id = idOf(await create({}));
    for (let again = 0; again < 2; again++) {
      expect((await api.post(`/v1/schedules/${id}/pause`, "")).body).toMatchObject({ state: "paused", next_at: null });
    }
    await ask(api.database, "update taskiq.schedule set next_at = next_at - interval '30 days'");
    for (let again = 0; again < 2; again++) {
      const { status, body } = await api.post(`/v1/schedules/${id}/resume`, "");
      expect({ status, state: body.state }).toEqual({ status: 200, state: "active" });
    }
    const { next_in_ms: inMs } = await readSchedule(api.database, id);
    expect(inMs).toBeGreaterThan(0);
  });

  test("resuming what is active does not lose what it has to catch up with", async () => {
    const id = await createSchedule(api.database, { task: "echo", nextInMs: -60_000 });
    const { next_at: due } = await readSchedule(api.database, id);
    await api.post(`/v1/schedules/${id}/resume`, "");
    expect((await readSchedule(api.database, id)).next_at).toEqual(due);
  });

  test("resume brings a disabled one back, once its problem is solved", async () => {
    const gone = await createSchedule(api.database, { task: "gone", isDisabled: true });
    expect((await api.get(`/v1/schedules/${gone}`)).body).toMatchObject({
      state: "disabled",
      next_at: null,
      problem: { code: "unknown_task", message: "?", at: "2026-01-01T00:00:00Z" },
    });
    expect(await api.post(`/v1/schedules/${gone}/resume`, "")).toMatchObject({
      status: 422,
      body: { code: "unknown_task" },
    });
    expect(await readSchedule(api.database, gone)).toMatchObject({ disabled: true });

    const back = await createSchedule(api.database, { task: "echo", isDisabled: true });
    const answer = await api.post(`/v1/schedules/${back}/resume`, "");
    expect(answer).toMatchObject({ status: 200, body: { state: "active", problem: null } });
  });
});

test("DELETE removes a schedule, whose tasks stay", async () => {
  const id = idOf(await create({}));
  const { body } = await api.post(`/v1/schedules/${id}/trigger`, "");
  const answer = await api.inject({ method: "DELETE", url: `/v1/schedules/${id}` });
  expect({ status: answer.statusCode, name: answer.json().name }).toEqual({ status: 200, name: "nightly" });
  expect(await api.get(`/v1/schedules/${id}`)).toMatchObject({ status: 404 });
  expect(await readTask(api.database, body.task_id)).toMatchObject({ state: "queued" });
});

describe("POST /v1/schedules/{id}/trigger", () => {
  test("submits its task now and leaves its times alone, also while it is paused", async () => {
    const id = idOf(await create({ input: { a: 1 }, priority: 4, labels: { team: "x" }, paused: true }));
    const before = await api.get(`/v1/schedules/${id}`);
    const { status, body, headers } = await api.post(`/v1/schedules/${id}/trigger`, "");
    expect({ status, state: body.state, location: headers.location }).toEqual({
      status: 202,
      state: "queued",
      location: `/v1/tasks/${body.task_id}`,
    });
    expect((await api.get(`/v1/tasks/${body.task_id}`)).body).toMatchObject({
      task: "echo",
      input: { a: 1 },
      priority: 4,
      labels: { team: "x", taskiq_aws_schedule: "nightly" },
    });
    expect((await api.get(`/v1/schedules/${id}`)).body).toEqual(before.body);
  });

  test("with the same idempotency key makes one task", async () => {
    const id = idOf(await create({}));
    const headers = { "idempotency-key": randomUUID() };
    const first = await api.post(`/v1/schedules/${id}/trigger`, "", headers);
    const second = await api.post(`/v1/schedules/${id}/trigger`, "", headers);
    expect(second.body.task_id).toBe(first.body.task_id);
    expect(second.headers["idempotency-replayed"]).toBe("true");
    expect(await readTasks(api.database)).toHaveLength(1);
  });
});

test.each([
  ["GET", ""],
  ["DELETE", ""],
  ["POST", "/pause"],
  ["POST", "/resume"],
  ["POST", "/trigger"],
] as const)("%s /v1/schedules/{id}%s does not see what is not there, or another tenant's", async (method, verb) => {
  const theirs = await createSchedule(api.database, { tenant: "theirs", task: "echo" });
  for (const id of [NOBODY, theirs]) {
    const answer = await api.inject({ method, url: `/v1/schedules/${id}${verb}` });
    expect({ status: answer.statusCode, code: answer.json().code }).toEqual({
      status: 404,
      code: "schedule_not_found",
    });
  }
  const bad = await api.inject({ method, url: `/v1/schedules/nightly${verb}` });
  expect(bad.statusCode).toBe(422);
  expect(await readSchedule(api.database, theirs)).toMatchObject({ paused: false });
  expect(await readTasks(api.database)).toEqual([]);
});

describe("not_before", () => {
  const at = (ms: number) => new Date(systemClock.wallMs() + ms).toISOString();
  const submit = (body: object) => api.post("/v1/tasks", { task: "echo", ...body });

  test("is when the task is due and its message is sent, at any distance", async () => {
    for (const ms of [60_000, 364 * 86_400_000]) {
      const notBefore = at(ms);
      const { status, body } = await submit({ not_before: notBefore });
      expect(status).toBe(202);
      expect((await api.get(`/v1/tasks/${body.task_id}`)).body.due_at).toBe(notBefore);
      const [{ send_in_ms: inMs = 0 } = {}] = await readOutbox(api.database, body.task_id);
      expect(Math.abs(inMs - ms)).toBeLessThan(30_000);
    }
  });

  test("means the same in every time zone", async () => {
    const midnight = `${at(30 * 86_400_000).slice(0, 10)}T00:00:00Z`;
    const { body } = await submit({ not_before: midnight.replace("T00:00:00Z", "T05:45:00+05:45") });
    expect((await api.get(`/v1/tasks/${body.task_id}`)).body.due_at).toBe(new Date(midnight).toISOString());
  });

  test("in the past is now: no task gets before others by it", async () => {
    const { body } = await submit({ not_before: "1999-01-01T00:00:00Z" });
    expect((await readTask(api.database, body.task_id)).due_in_ms).toBeGreaterThan(-30_000);
  });

  test("can be cancelled, message and all", async () => {
    const { body } = await submit({ not_before: at(3_600_000) });
    expect(await api.post(`/v1/tasks/${body.task_id}/cancel`, "")).toMatchObject({ status: 200 });
    expect(await readOutbox(api.database, body.task_id)).toEqual([]);
  });

  test("with the same idempotency key is the same task", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const body = { task: "echo", not_before: at(60_000) };
    const first = await api.post("/v1/tasks", body, headers);
    expect((await api.post("/v1/tasks", body, headers)).body).toEqual(first.body);
  });

  test.each([
    ["no time", "tomorrow"],
    ["a time without its offset", "2027-03-01T00:30:00"],
    ["a day that is none", "2027-02-30T00:00:00Z"],
    ["more than a year ahead", "2099-01-01T00:00:00Z"],
  ])("refuses %s", async (_name, text) => {
    const { status, body } = await submit({ not_before: text });
    expect({ status, path: body.issues[0]?.path }).toEqual({ status: 422, path: "not_before" });
  });

  test("is not given together with a delay", async () => {
    const { status, body } = await submit({ not_before: at(1_000), delay_seconds: 1 });
    expect({ status, path: body.issues[0]?.path }).toEqual({ status: 422, path: "not_before" });
  });
});
