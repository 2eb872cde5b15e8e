import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { clearTasks, createTask, readOutbox, readTask, type TaskColumns } from "../support/tasks.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const NOBODY = "0198f3c0-0000-7000-8000-000000000000";

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

describe("POST /v1/tasks/{id}/cancel", () => {
  test("cancels at once what does not run, with or without a body", async () => {
    for (const body of ["", '{"reason":"not needed"}', "null"]) {
      const id = await createTask(api.database);
      const answer = await api.post(`/v1/tasks/${id}/cancel`, body);
      expect(answer).toMatchObject({ status: 200, body: { task_id: id, state: "cancelled" } });
      expect((await api.get(`/v1/tasks/${id}`)).body).toMatchObject({
        state: "cancelled",
        error: { code: "cancelled" },
      });
    }
  });

  test("takes a request without any headers for a body", async () => {
    const id = await createTask(api.database);
    const answer = await api.inject({ method: "POST", url: `/v1/tasks/${id}/cancel` });
    expect(answer.statusCode).toBe(200);
  });

  test("asks the owner of what runs, as often as it is asked itself", async () => {
    const id = await createTask(api.database, { state: "running" });
    for (let again = 0; again < 2; again++) {
      const answer = await api.post(`/v1/tasks/${id}/cancel`, { reason: "wrong input" });
      expect(answer).toMatchObject({ status: 202, body: { task_id: id, state: "running" } });
    }
    expect(await readTask(api.database, id)).toMatchObject({ state: "running", cancel_requested: true });
  });

  test.each(["succeeded", "failed", "cancelled", "skipped"] as const)(
    "answers 409 for a task that is %s, and names the state",
    async (state) => {
      const id = await createTask(api.database, { state });
      const { status, body } = await api.post(`/v1/tasks/${id}/cancel`, {});
      expect({ status, code: body.code }).toEqual({ status: 409, code: "task_finished" });
      expect(body.detail).toContain(`is ${state}`);
    },
  );

  test.each([
    ["an id that no task has", NOBODY, {}, 404, "task_not_found"],
    ["no id", "nonsense", {}, 422, "request_invalid"],
    ["a reason that is too long", NOBODY, { reason: "x".repeat(501) }, 422, "request_invalid"],
    ["another field", NOBODY, { force: true }, 422, "request_invalid"],
    ["a body that is no JSON", NOBODY, "{", 400, "not_json_body"],
  ])("refuses %s", async (_name, id, given, status, code) => {
    const { status: got, body } = await api.post(`/v1/tasks/${id}/cancel`, given);
    expect({ status: got, code: body.code }).toEqual({ status, code });
  });

  test("does not see a task of another tenant", async () => {
    const id = await createTask(api.database, { tenant: "theirs" });
    expect(await api.post(`/v1/tasks/${id}/cancel`, {})).toMatchObject({ status: 404 });
    expect(await readTask(api.database, id)).toMatchObject({ state: "queued" });
  });
});

describe("POST /v1/tasks/{id}/retry", () => {
  test.each([
    ["failed", { state: "failed", failures: 3, losses: 2, attempt: 5 }],
    ["was cancelled", { state: "cancelled", attempt: 5 }],
  ] as const)("queues a task that %s, with new budgets and the old fence", async (_name, columns: TaskColumns) => {
    const id = await createTask(api.database, columns);
    const answer = await api.post(`/v1/tasks/${id}/retry`, "");
    expect(answer).toMatchObject({ status: 202, body: { task_id: id, state: "queued" } });
    expect(await readTask(api.database, id)).toMatchObject({
      state: "queued",
      attempt: 5,
      failures: 0,
      losses: 0,
      cancel_requested: false,
      finished: false,
    });
    expect(await readOutbox(api.database, id)).toMatchObject([{ kind: "doorbell" }]);
  });

  test.each(["queued", "running", "succeeded", "skipped"] as const)(
    "answers 409 for a task that is %s",
    async (state) => {
      const id = await createTask(api.database, { state });
      const { status, body } = await api.post(`/v1/tasks/${id}/retry`, {});
      expect({ status, code: body.code }).toEqual({ status: 409, code: "task_finished" });
      expect(await readTask(api.database, id)).toMatchObject({ state });
    },
  );

  test("answers 409 for a step, whose run is to be executed again instead", async () => {
    const runId = "01a1ff2e-0000-7000-8000-000000000001";
    const id = await createTask(api.database, { state: "failed", runId, stepKey: "load" });
    const { status, body } = await api.post(`/v1/tasks/${id}/retry`, {});
    expect({ status, code: body.code }).toEqual({ status: 409, code: "task_finished" });
    expect(body.detail).toContain(`is a step of the run ${runId}`);
    expect(await readTask(api.database, id)).toMatchObject({ state: "failed" });
  });

  test("answers 404 where there is no task", async () => {
    expect(await api.post(`/v1/tasks/${NOBODY}/retry`, {})).toMatchObject({ status: 404 });
  });
});
