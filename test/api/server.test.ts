import { once } from "node:events";
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { clearTasks, createTask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
let api: TestApi;
let port: number;
let agent: Agent;

beforeAll(async () => {
  place = await createPlace();
});
beforeEach(async () => {
  agent = new Agent({ keepAlive: true });
  api = await openTestApi(place);
  await clearTasks(api.database);
  ({ port } = await api.listen({ host: "127.0.0.1", port: 0 }));
});
afterEach(async () => {
  agent.destroy();
  await api.close();
});
afterAll(() => place?.drop());

type Got = { readonly status: number | undefined; readonly headers: IncomingMessage["headers"]; readonly text: string };

function send(method: string, path: string, body?: string | Buffer): { sent: ClientRequest; got: Promise<Got> } {
  const headers =
    body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const sent = request({ port, host: "127.0.0.1", method, path, headers, agent });
  const got = (async () => {
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    return { status: response.statusCode, headers: response.headers, text };
  })();
  got.catch(() => {});
  sent.end(body);
  return { sent, got };
}

test("listens on a free port, and keeps connections open longer than a load balancer", async () => {
  expect(port).toBeGreaterThan(0);
  const { status, headers } = await send("GET", "/livez").got;
  expect(status).toBe(200);
  expect(headers.connection).toBe("keep-alive");
  expect(Number(/timeout=(\d+)/.exec(String(headers["keep-alive"]))?.[1])).toBeGreaterThanOrEqual(65);
});

test("says that the port is taken", async () => {
  const second = await openTestApi(place);
  try {
    await expect(second.listen({ host: "127.0.0.1", port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  } finally {
    await second.close();
  }
});

test.each([1_048_577, 20_000_000])("a body of %i bytes is refused in words that arrive", async (bytes) => {
  for (let round = 0; round < 5; round++) {
    const { sent, got } = send("POST", "/v1/tasks", Buffer.alloc(bytes, 0x20));
    const wholly = once(sent, "close");
    const { status, text } = await got;
    expect(status).toBe(413);
    expect(JSON.parse(text)).toMatchObject({ code: "body_too_large" });
    // An error of the connection, such as EPIPE, would reject it.
    await wholly;
  }
  expect((await send("GET", "/livez").got).status).toBe(200);
});

test("a body that is announced as a gigabyte ends the connection", async () => {
  const socket = connect(port, "127.0.0.1");
  socket.write(
    "POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n",
  );
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  expect(text).toMatch(/^HTTP\/1.1 413 /);
});

test("fetch can read the refusal of a body that is far too large", async () => {
  const response = await fetch(`http://127.0.0.1:${port}/v1/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "x".repeat(20_000_000),
  });
  expect(response.status).toBe(413);
});

test("survives what is no HTTP", async () => {
  for (const bytes of [
    "\u0000\u0001\u0002\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "POST /v1/tasks HTTP/1.1\r\nContent-Length: x\r\n\r\n",
  ]) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {}).resume();
    socket.end(bytes);
    await once(socket, "close");
  }
  expect((await send("GET", "/livez").got).status).toBe(200);
});

test("a caller that hangs up in the middle of its body is not logged as our failure", async () => {
  const socket = connect(port, "127.0.0.1");
  socket.write(
    'POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"task":',
  );
  await once(socket, "connect");
  expect((await send("GET", "/livez").got).status).toBe(200);
  socket.resetAndDestroy();
  await once(socket, "close");
  expect((await send("GET", "/livez").got).status).toBe(200);
  await api.close();
  expect(api.lines.filter((line) => line.includes("request.failed"))).toEqual([]);
});

describe("waiting", () => {
  test("ends when the caller hangs up", async () => {
    const [left, stays] = await Promise.all([1, 2].map(() => createTask(api.database, { state: "running" })));

    const leaving = send("GET", `/v1/tasks/${left}?wait_seconds=60`);
    const staying = send("GET", `/v1/tasks/${stays}?wait_seconds=60`);
    await until(() => api.polls.at(-1)?.length === 2);
    leaving.sent.destroy();
    await expect(leaving.got).rejects.toThrow();
    await until(() => api.polls.at(-1)?.join() === stays, { what: "a poll for the one that stays alone" });
    api.drain();
    expect((await staying.got).status).toBe(200);
  });

  test("is answered at once with the task as it is when the process drains", async () => {
    const ids = await Promise.all([1, 2, 3].map(() => createTask(api.database, { state: "running" })));
    const before = api.database.statements;
    const waiting = ids.map((id) => send("GET", `/v1/tasks/${id}?wait_seconds=60`).got);
    await until(() => api.database.statements >= before + 4);
    const startedMs = performance.now();
    api.drain();
    for (const { status, headers, text } of await Promise.all(waiting)) {
      expect(status).toBe(200);
      expect(JSON.parse(text)).toMatchObject({ state: "running" });
      expect(headers.connection).toBe("close");
    }
    expect((await send("GET", `/v1/tasks/${ids[0]}?wait_seconds=60`).got).status).toBe(200);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });
});

describe("ending", () => {
  test("a process that drains still accepts tasks, on connections that end with the answer", async () => {
    await send("GET", "/livez").got;
    api.drain();
    const { status, headers } = await send("POST", "/v1/tasks", '{"task":"echo"}').got;
    expect(status).toBe(202);
    expect(headers.connection).toBe("close");
  });

  test("closing answers the open requests first", async () => {
    const id = await createTask(api.database, { state: "running" });
    const before = api.database.statements;
    const waiting = send("GET", `/v1/tasks/${id}?wait_seconds=60`).got;
    await until(() => api.database.statements >= before + 2);
    const submitted = [...Array(20).keys()].map(() => send("POST", "/v1/tasks", '{"task":"echo"}').got);
    await until(() => api.database.statements >= before + 3);
    await api.close();
    expect((await waiting).status).toBe(200);
    for (const outcome of await Promise.allSettled(submitted)) {
      // What had not been read yet is refused by the connection, never by an answer.
      if (outcome.status === "fulfilled") expect(outcome.value.status).toBe(202);
    }
  });

  test("closing does not wait for connections on which nothing was asked", async () => {
    const idle = connect(port, "127.0.0.1");
    await once(idle, "connect");
    const half = connect(port, "127.0.0.1");
    half.write("GET /livez HTTP/1.1\r\n");
    await once(half, "connect");
    await send("GET", "/livez").got;
    const startedMs = performance.now();
    await api.close();
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    idle.destroy();
    half.destroy();
  });

  test("may be asked for twice", async () => {
    await Promise.all([api.close(), api.close()]);
    await api.close();
  });
});
