import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../runtime/client/client.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import {
  answers,
  breaksOff,
  hangs,
  refuses,
  resets,
  type ScriptedServer,
  startScriptedServer,
} from "./scripted-server.ts";

const ACCEPTED = answers(202, { task_id: "a-task", state: "queued" });

let server: ScriptedServer;
/** What the client waited for between its tries; it does not wait here. */
let pausesMs: number[] = [];
const clock: Clock = {
  ...systemClock,
  async after(ms) {
    pausesMs.push(ms);
  },
};

beforeAll(async () => {
  server = await startScriptedServer();
});

afterAll(async () => {
  await server.close();
});

function clientOf(options: { maxAttempts?: number; timeoutMs?: number; baseUrl?: string } = {}) {
  pausesMs = [];
  return createClient({ baseUrl: server.url, clock, ...options });
}

const keys = () => server.requests.map(({ key }) => key);

describe("a submission that fails on its way", () => {
  test.each([
    ["a refusal with 503", refuses(503, "database_unavailable")],
    ["a load balancer without targets", (reply: Parameters<typeof resets>[0]) => reply.code(502).send("Bad Gateway")],
    ["a reset connection", resets],
    ["an answer that breaks off", breaksOff],
  ])("is repeated with the same key after %s", async (_name, failure) => {
    server.script(failure, failure, ACCEPTED);
    expect(await clientOf().enqueue("sleep", {})).toEqual({ taskId: "a-task" });
    expect(keys()).toHaveLength(3);
    expect(new Set(keys()).size).toBe(1);
    expect(keys()[0]).toMatch(/^[0-9a-f]{32}$/);
  });

  test("is repeated when no answer comes in time", async () => {
    server.script(hangs, ACCEPTED);
    expect(await clientOf({ timeoutMs: 100 }).enqueue("sleep", {})).toEqual({ taskId: "a-task" });
    expect(new Set(keys()).size).toBe(1);
  });

  test("keeps the caller's key", async () => {
    server.script(resets, ACCEPTED);
    await clientOf().enqueue("sleep", {}, { idempotencyKey: "order-17" });
    expect(keys()).toEqual(["order-17", "order-17"]);
  });

  test("has another key at the next call", async () => {
    server.script(ACCEPTED);
    const client = clientOf();
    await client.enqueue("sleep", {});
    await client.enqueue("sleep", {});
    expect(new Set(keys()).size).toBe(2);
  });

  test("is given up after a bounded number of tries, with what the API said last", async () => {
    server.script(refuses(503, "draining"));
    await expect(clientOf().enqueue("sleep", {})).rejects.toMatchObject({ code: "draining", status: 503 });
    expect(keys()).toHaveLength(5);
    expect(Math.max(...pausesMs)).toBeLessThanOrEqual(1_600);
  });

  test("waits as long as the API asks for", async () => {
    server.script(refuses(503, "database_unavailable", { "retry-after": "2" }), ACCEPTED);
    await clientOf().enqueue("sleep", {});
    expect(pausesMs).toHaveLength(1);
    expect(pausesMs[0]).toBeGreaterThanOrEqual(2_000);
    expect(pausesMs[0]).toBeLessThanOrEqual(2_200);
  });

  test("waits until a date the API names", async () => {
    const date = new Date(systemClock.wallMs() + 10_000).toUTCString();
    server.script(refuses(503, "database_unavailable", { "retry-after": date }), ACCEPTED);
    await clientOf().enqueue("sleep", {});
    expect(pausesMs[0]).toBeGreaterThan(8_000);
    expect(pausesMs[0]).toBeLessThanOrEqual(10_200);
  });

  test("does not wait for an hour, whatever the API asks for", async () => {
    server.script(refuses(503, "database_unavailable", { "retry-after": "3600" }), ACCEPTED);
    await clientOf().enqueue("sleep", {});
    expect(pausesMs[0]).toBeLessThanOrEqual(30_200);
  });
});

describe("a request that is refused", () => {
  test("is not repeated, and tells what is wrong with it", async () => {
    const issues = [{ path: "input.duration_seconds", message: "expected a number" }];
    const problem = { code: "input_invalid", status: 422, title: "No", detail: "It does not fit.", issues };
    server.script(answers(422, { ...problem, instance: "req-1" }));
    await expect(clientOf().enqueue("sleep", {})).rejects.toMatchObject({
      name: "ApiError",
      code: "input_invalid",
      status: 422,
      detail: "It does not fit.",
      issues,
      requestId: "req-1",
      message: "It does not fit.\ninput.duration_seconds: expected a number",
    });
    expect(keys()).toHaveLength(1);
  });

  test("has the address in its error when something else answers", async () => {
    server.script((reply) => reply.type("text/html").send("<html>\n<h1>Welcome to nginx</h1>"));
    const getting = clientOf().get("x");
    await expect(getting).rejects.toMatchObject({ code: "unexpected_answer" });
    await expect(getting).rejects.toThrow(`${server.url} answered <html> <h1>Welcome to nginx</h1>`);
  });

  test("does not follow a redirect, which would lose the body", async () => {
    server.script((reply) => reply.redirect("https://tasks.example.com/v1/tasks", 301));
    await expect(clientOf().enqueue("sleep", {})).rejects.toThrow("redirects to https://tasks.example.com/v1/tasks");
    expect(server.requests).toHaveLength(1);
  });
});

describe("an API that is not there", () => {
  test("is api_unreachable with the address and the reason", async () => {
    const proxy = await startTcpProxy({ host: "127.0.0.1", port: 1 });
    await proxy.close();
    const getting = clientOf({ baseUrl: `http://127.0.0.1:${proxy.port}` }).get("x");
    await expect(getting).rejects.toMatchObject({ code: "api_unreachable", status: null });
    await expect(getting).rejects.toThrow(
      `expected the API at http://127.0.0.1:${proxy.port}, got: connect ECONNREFUSED`,
    );
    expect(pausesMs).toHaveLength(4);
  });

  test("that stays silent is given up after the time of every try", async () => {
    server.script(hangs);
    await expect(clientOf({ timeoutMs: 50, maxAttempts: 2 }).get("x")).rejects.toThrow("no answer within 50 ms");
    expect(server.requests).toHaveLength(2);
  });
});

test("a caller who leaves while the client waits between tries is not kept", async () => {
  server.script(refuses(503, "draining", { "retry-after": "30" }));
  const leaving = new AbortController();
  const waiting = createClient({ baseUrl: server.url }).wait("x", { signal: leaving.signal });
  waiting.catch(() => {});
  await until(() => server.requests.length === 1);
  leaving.abort(new Error("left"));
  await expect(waiting).rejects.toThrow("left");
});

test.each(["127.0.0.1:8080", "ftp://x", "http://user:secret@x", "http://x/?a=1", ""])(
  "refuses %j as the address of an API",
  (baseUrl) => {
    expect(() => createClient({ baseUrl })).toThrow("expected the API's address as an http or https URL");
  },
);

test("an address may have a path", async () => {
  server.script(ACCEPTED);
  await createClient({ baseUrl: `${server.url}/tasks-api/` }).enqueue("sleep");
  expect(server.requests[0]?.path).toBe("/tasks-api/v1/tasks");
});

test.each(["with space", "", "ü", "x".repeat(256)])("refuses %j as an idempotency key", async (idempotencyKey) => {
  server.script(ACCEPTED);
  await expect(clientOf().enqueue("sleep", {}, { idempotencyKey })).rejects.toMatchObject({ code: "request_invalid" });
  expect(server.requests).toHaveLength(0);
});
