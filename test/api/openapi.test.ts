import { afterAll, beforeAll, expect, test } from "vitest";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

type Operation = {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: { readonly in: string; readonly name: string }[];
  readonly responses: Record<string, { readonly description: string; readonly content: Record<string, unknown> }>;
};

type Document = {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, unknown> };
};

let place: PlaceKept;
let api: TestApi;
let document: Document;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place);
  document = JSON.parse((await api.get("/openapi.json")).text);
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

function operations(): [string, Operation][] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]): [string, Operation] => [`${method} ${path}`, operation]),
  );
}

test("names every route of the contract, in version 3.1", () => {
  expect(document.openapi).toBe("3.1.0");
  expect(document.info.version).toBe("1.2.3");
  expect(
    operations()
      .map(([name]) => name)
      .sort(),
  ).toEqual([
    "delete /v1/schedules/{id}",
    "get /health",
    "get /livez",
    "get /metrics",
    "get /readyz",
    "get /tasks/{id}",
    "get /v1/audit",
    "get /v1/graph-schema.json",
    "get /v1/jobs",
    "get /v1/jobs/{name}",
    "get /v1/keys",
    "get /v1/live",
    "get /v1/overview",
    "get /v1/queues",
    "get /v1/queues/{name}",
    "get /v1/runs",
    "get /v1/runs/{id}",
    "get /v1/runs/{id}/events",
    "get /v1/runs/{id}/graph",
    "get /v1/runs/{id}/steps",
    "get /v1/schedules",
    "get /v1/schedules/{id}",
    "get /v1/session",
    "get /v1/task-definitions",
    "get /v1/tasks",
    "get /v1/tasks/{id}",
    "get /v1/tasks/{id}/events",
    "get /v1/workers",
    "get /v1/workers/{name}",
    "post /tasks",
    "post /v1/keys",
    "post /v1/keys/{id}/revoke",
    "post /v1/queues/{name}/pause",
    "post /v1/queues/{name}/redrive",
    "post /v1/queues/{name}/resume",
    "post /v1/runs",
    "post /v1/runs/{id}/cancel",
    "post /v1/runs/{id}/reexecute",
    "post /v1/runs/{id}/resume",
    "post /v1/schedules",
    "post /v1/schedules/{id}/pause",
    "post /v1/schedules/{id}/resume",
    "post /v1/schedules/{id}/trigger",
    "post /v1/tasks",
    "post /v1/tasks/batch",
    "post /v1/tasks/cancel",
    "post /v1/tasks/retry",
    "post /v1/tasks/{id}/cancel",
    "post /v1/tasks/{id}/retry",
  ]);
});

test("every operation has a summary, a name of its own and described answers", () => {
  const names = operations().map(([, { operationId }]) => operationId);
  expect(new Set(names).size).toBe(operations().length);
  for (const [, { summary, responses }] of operations()) {
    expect(summary).toMatch(/\w/);
    for (const { description, content } of Object.values(responses)) {
      expect(description).not.toBe("Default Response");
      expect(Object.keys(content)).toHaveLength(1);
    }
  }
});

test("every refusal is a problem, and every route that submits names its codes", () => {
  for (const [name, { responses }] of operations()) {
    for (const [status, { content }] of Object.entries(responses)) {
      if (Number(status) < 400 || name === "get /health") continue;
      expect(content).toEqual({ "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } });
    }
    if (/^post \/(?:v1\/)?tasks(?:\/batch)?$/.test(name))
      expect(Object.keys(responses)).toEqual(["202", "400", "401", "403", "413", "415", "422", "500", "503"]);
  }
});

test("the path's parameters are declared", () => {
  for (const [name, { parameters = [] }] of operations()) {
    const wanted = [...name.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    expect(parameters.filter((parameter) => parameter.in === "path").map((parameter) => parameter.name)).toEqual(
      wanted,
    );
  }
});

test("every reference leads to a component, and every component is referred to", () => {
  const text = JSON.stringify(document);
  const references = new Set([...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1]));
  expect([...references].sort()).toEqual(Object.keys(document.components.schemas).sort());
  expect([...references].sort()).toEqual([
    "AuditEntry",
    "BulkOutcome",
    "Health",
    "Job",
    "JobSummary",
    "Key",
    "Overview",
    "Problem",
    "Queue",
    "Redrive",
    "Run",
    "RunSummary",
    "Schedule",
    "Session",
    "Step",
    "StepCounts",
    "Task",
    "TaskDefinition",
    "TaskSummary",
    "Worker",
  ]);
  expect(text).not.toContain("PLACEHOLDER");
});

test("the answer to a task is what the document says", async () => {
  const { body } = await api.post("/v1/tasks", { task: "echo" });
  const task = await api.get(`/v1/tasks/${body.task_id}`);
  const { required } = document.components.schemas.Task as { required: string[] };
  expect(Object.keys(task.body)).toEqual(required);
  const health = document.components.schemas.Health as { required: string[] };
  expect(Object.keys((await api.get("/health")).body)).toEqual(health.required);
});

test("the document can be browsed, with nothing fetched from elsewhere", async () => {
  for (const page of ["/docs", "/docs/"]) {
    const { status, headers, text } = await api.get(page);
    expect(status).toBe(200);
    expect(headers["content-security-policy"]).toMatch(/^default-src 'self';/);
    expect(text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    const parts = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] as string);
    expect(parts.length).toBeGreaterThanOrEqual(6);
    for (const part of parts) {
      const answer = await api.get(new URL(part, `http://here${page}`).pathname);
      expect(answer.status).toBe(200);
      expect(answer.text.length).toBeGreaterThan(100);
    }
  }
  expect(JSON.parse((await api.get("/docs/json")).text)).toEqual(document);
  expect((await api.get("/docs/static/swagger-initializer.js")).text).toContain("validatorUrl: null");
  expect((await api.get("/docs/static/nothing.js")).body).toMatchObject({ code: "route_not_found" });
});
