import { afterAll, beforeAll, expect, test } from "vitest";
import type { Submitter } from "../../runtime/flow/submit.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place, { limits: { maxBodyBytes: 2_000 } });
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

test.each([
  ["GET", "/nowhere"],
  ["GET", "/v1"],
  ["GET", "/v1/tasks/%zz"],
  ["GET", `/v1/tasks/${"x".repeat(600)}`],
  ["POST", "/v2/tasks"],
  ["DELETE", "/nothing/here?at=all"],
] as const)("%s %s is an unknown path, whatever comes with it", async (method, url) => {
  const response = await api.inject({ method, url, headers: { "content-type": "text/html" }, payload: "<" });
  expect(response.statusCode).toBe(404);
  expect(response.json()).toMatchObject({ code: "route_not_found", status: 404 });
});

test.each([
  ["PUT", "/v1/tasks", "GET, HEAD, POST"],
  ["DELETE", "/v1/tasks/0198f3c0-0000-7000-8000-000000000000", "GET, HEAD"],
  ["GET", "/v1/tasks/batch", "POST"],
  ["PUT", "/tasks", "POST"],
  ["OPTIONS", "/v1/tasks", "GET, HEAD, POST"],
  ["POST", "/health", "GET, HEAD"],
  ["PATCH", "/livez", "GET, HEAD"],
] as const)("%s %s is a known path with another method, and says which are allowed", async (method, url, allow) => {
  const response = await api.inject({ method, url, headers: { "content-type": "text/html" }, payload: "<" });
  expect(response.statusCode).toBe(405);
  expect(response.headers.allow).toBe(allow);
  expect(response.json()).toMatchObject({ code: "method_not_allowed" });
});

test.each([
  ["text/plain", "{}"],
  ["application/x-www-form-urlencoded", "task=echo"],
  ["application/jsonx", "{}"],
  ["nonsense", "{}"],
])("does not take a body of type %s", async (type, payload) => {
  const answer = await api.post("/v1/tasks", payload, { "content-type": type });
  expect(answer).toMatchObject({ status: 415, body: { code: "unsupported_media_type" } });
});

test("takes JSON with a character set", async () => {
  const answer = await api.post("/v1/tasks", { task: "echo" }, { "content-type": "Application/JSON; charset=UTF-8" });
  expect(answer.status).toBe(202);
});

test.each(["gzip", "br", "gzip, identity"])("does not take a body encoded with %s", async (encoding) => {
  const answer = await api.post("/v1/tasks", { task: "echo" }, { "content-encoding": encoding });
  expect(answer).toMatchObject({ status: 415, body: { code: "unsupported_media_type" } });
});

test("takes a body with the encoding that is none", async () => {
  expect((await api.post("/v1/tasks", { task: "echo" }, { "content-encoding": "identity" })).status).toBe(202);
});

test("does not take a body without a type, nor a request without a body", async () => {
  const untyped = await api.inject({ method: "POST", url: "/v1/tasks", payload: Buffer.from("{}") });
  expect(untyped.statusCode).toBe(415);
  const bodiless = await api.inject({ method: "POST", url: "/v1/tasks" });
  expect(bodiless.json()).toMatchObject({ status: 400, code: "not_json_body" });
});

test("says how large a body may be", async () => {
  const { status, body } = await api.post("/v1/tasks", { task: "echo", input: "x".repeat(2_000) });
  expect(status).toBe(413);
  expect(body).toMatchObject({ code: "body_too_large", detail: expect.stringContaining("2000 bytes") });
});

test("carries the caller's id of the request, or one of its own", async () => {
  const given = await api.get("/nothing", { "x-request-id": "Root=1-67891233-abcdef012345678912345678" });
  expect(given.body.instance).toBe("Root=1-67891233-abcdef012345678912345678");
  const unusable = await api.get("/nothing", { "x-request-id": "a b".repeat(100) });
  expect(unusable.body.instance).toMatch(/^[0-9a-f-]{36}$/);
});

test("what nobody expected is told to the log, not to the caller", async () => {
  const submitter: Submitter = {
    submit: () => Promise.reject(new Error("password is hunter2")),
    check: () => {},
    prepare: () => Promise.reject(new Error("nothing is prepared here")),
    idle: () => Promise.resolve(),
  };
  const broken = await openTestApi(place, { parts: { submitter } });
  try {
    const { status, text, body } = await broken.post("/v1/tasks", { task: "echo" });
    expect(status).toBe(500);
    expect(body).toMatchObject({ code: "internal", detail: expect.stringContaining(String(body.instance)) });
    expect(text).not.toContain("hunter2");
    const logged = broken.lines.map((line) => JSON.parse(line)).find(({ event }) => event === "request.failed");
    expect(logged).toMatchObject({
      level: "error",
      requestId: body.instance,
      method: "POST",
      route: "/v1/tasks",
      status: 500,
      code: "internal",
    });
    expect(logged.error.message).toContain("hunter2");
  } finally {
    await broken.close();
  }
});

test("nothing is logged for a request that is the caller's mistake", async () => {
  expect(api.lines.filter((line) => line.includes("request.failed"))).toEqual([]);
});
