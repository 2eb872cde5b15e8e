import fc from "fast-check";
import { v7 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { clearTasks, createTask, createTasks } from "../support/tasks.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place);
});
beforeEach(() => clearTasks(api.database));
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

type Item = { task_id: string; state: string; [name: string]: unknown };

async function list(query = "") {
  const { status, body } = await api.get(`/v1/tasks${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return { tasks: body.tasks as Item[], next: body.next_cursor as string | null };
}

describe("GET /v1/tasks", () => {
  test("shows tasks newest first, without their payloads and without stacks", async () => {
    const { body: created } = await api.post("/v1/tasks", {
      task: "echo",
      input: { secret: 1 },
      labels: { team: "x" },
    });
    const error = { code: "handler_error", type: "Error", message: "no", stack: "Error: no\n at x" };
    const failed = await createTask(api.database, { state: "failed", error });
    const { tasks, next } = await list();
    expect(tasks.map(({ task_id: id }) => id)).toEqual([failed, created.task_id]);
    expect(next).toBeNull();
    expect(tasks[0]?.error).toEqual({ code: "handler_error", type: "Error", message: "no" });
    const one = (await api.get(`/v1/tasks/${created.task_id}`)).body;
    const { input, result, attempts, run_id, step_key, timeout_ms, max_attempts, trace_id, ...summary } = one;
    expect(tasks[1]).toEqual(summary);
    expect(tasks[1]).toMatchObject({ labels: { team: "x" } });
  });

  test("goes from page to page", async () => {
    const ids = (await createTasks(api.database, Array(7).fill({}))).toReversed();
    const seen: string[] = [];
    let cursor: string | null = "";
    for (let pages = 0; cursor !== null; pages++) {
      expect(pages).toBeLessThan(4);
      const page: Awaited<ReturnType<typeof list>> = await list(`?limit=3${cursor === "" ? "" : `&cursor=${cursor}`}`);
      seen.push(...page.tasks.map(({ task_id: id }) => id));
      cursor = page.next;
    }
    expect(seen).toEqual(ids);
  });

  test("takes several states, with commas or one by one", async () => {
    for (const state of ["queued", "running", "failed", "succeeded"] as const)
      await createTask(api.database, { state });
    const states = async (query: string) => (await list(query)).tasks.map(({ state }) => state).sort();
    expect(await states("?state=failed,running")).toEqual(["failed", "running"]);
    expect(await states("?state=failed&state=running")).toEqual(["failed", "running"]);
    expect(await states("?state=succeeded,queued")).toEqual(["queued", "succeeded"]);
  });

  test("does not show tasks of another tenant", async () => {
    await createTask(api.database, { tenant: "theirs" });
    expect(await list()).toEqual({ tasks: [], next: null });
    expect(await list("?state=queued")).toEqual({ tasks: [], next: null });
  });

  test.each([
    ["a state there is none of", "?state=done", "state.0"],
    ["an empty state", "?state=", "state.0"],
    ["a limit of 0", "?limit=0", "limit"],
    ["a limit above 200", "?limit=201", "limit"],
    ["a time that is none", "?created_after=yesterday", "created_after"],
    ["a time before 1970", "?created_after=0001-01-01T00:00:00Z", "created_after"],
    ["a label without a value", "?label=team", "label"],
    ["U+0000 in a name", "?task=a%00b", "task"],
    ["a cursor of somebody else", "?cursor=eyJpZCI6MX0", "cursor"],
    ["another parameter", "?tenant=theirs", "tenant"],
  ])("refuses %s, and says where", async (_what, query, path) => {
    const { status, body } = await api.get(`/v1/tasks${query}`);
    expect({ status, code: body.code }).toEqual({ status: 422, code: "request_invalid" });
    expect(body.issues[0]?.path).toBe(path);
  });

  test("no query at all makes it fail", async () => {
    await createTasks(api.database, [
      { labels: JSON.stringify({ a: "\u0000", b: "\ud800" }) },
      { labels: '{"a":1e400,"a":2}', state: "failed" },
      { id: v7(), state: "running" },
    ]);
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "\u0000",
        "failed",
        "a=\u0000",
        "a=",
        "=",
        "2026-01-01T00:00:00Z",
        "9".repeat(40),
        "-1",
        "1e3",
        "a".repeat(5_000),
      ),
      fc
        .base64String({ minLength: 32, maxLength: 32 })
        .map((cursor) => cursor.replaceAll("+", "-").replaceAll("/", "_")),
      fc.uint8Array({ minLength: 24, maxLength: 24 }).map((bytes) => Buffer.from(bytes).toString("base64url")),
    );
    const name = fc.constantFrom(
      "state",
      "task",
      "queue",
      "label",
      "created_after",
      "created_before",
      "limit",
      "cursor",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.oneof({ weight: 9, arbitrary: name }, text), text), { maxLength: 4 }),
        async (pairs) => {
          const query = pairs.map(
            ([key, value]) => `${encodeURIComponent(key.toWellFormed())}=${encodeURIComponent(value.toWellFormed())}`,
          );
          const { status } = await api.get(`/v1/tasks?${query.join("&")}`);
          expect([200, 422]).toContain(status);
        },
      ),
      { numRuns: 600 },
    );
    expect(api.lines.filter((line) => line.includes("request.failed"))).toEqual([]);
  });

  test("any cursor that is well formed is a place in the list", async () => {
    const ids = await createTasks(api.database, [{}, { state: "failed" }]);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 21, maxLength: 21 }), async (bytes) => {
        const cursor = Buffer.concat([Buffer.alloc(3), Buffer.from(bytes)]).toString("base64url");
        for (const filter of ["", "&state=failed", "&state=running"]) {
          const { tasks } = await list(`?cursor=${cursor}${filter}`);
          for (const task of tasks) expect(ids).toContain(task.task_id);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("GET /v1/tasks/{id}", () => {
  test("shows what the task came through: its attempts, the cancellation, its place", async () => {
    const id = await createTask(api.database, {
      state: "running",
      attempt: 3,
      failures: 2,
      cancelRequested: true,
      groupKey: "order-17",
    });
    await api.database.transaction(async (tx) => {
      await tx.raw.query(
        `insert into taskiq.attempt (task_id, attempt, outcome, worker, error, started_at, ended_at)
         values ($1, 1, 'retried', 'w1', '{"code":"timeout","type":"T","message":"too long","stack":"s"}', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'),
                ($1, 2, 'lost', 'w2', null, null, '2026-01-01T00:00:02Z')`,
        [id],
      );
    });
    const { body } = await api.get(`/v1/tasks/${id}`);
    expect(body).toMatchObject({ ordering_key: "order-17", cancel_requested: true, cancel_reason: null });
    expect(body.attempts).toEqual([
      {
        attempt: 1,
        outcome: "retried",
        worker: "w1",
        error: { code: "timeout", type: "T", message: "too long", stack: "s" },
        started_at: "2026-01-01T00:00:00.000Z",
        ended_at: "2026-01-01T00:00:01.000Z",
      },
      {
        attempt: 2,
        outcome: "lost",
        worker: "w2",
        error: null,
        started_at: null,
        ended_at: "2026-01-01T00:00:02.000Z",
      },
    ]);
  });
});
