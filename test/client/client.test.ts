import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiError, type Client, createClient, type Task } from "../../runtime/client/index.ts";
import { sleep } from "../../runtime/tasks/sleep.ts";
import { executeSql } from "../support/execute-sql.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { type Deployment, startDeployment } from "./deployment.ts";
import { echo } from "./deployment-tasks.ts";

let deployment: Deployment;
let proxy: TcpProxy;
let client: Client;
let folder = "";

beforeAll(async () => {
  deployment = await startDeployment();
  proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(deployment.url).port) });
  client = createClient({ baseUrl: `http://127.0.0.1:${proxy.port}` });
  folder = mkdtempSync(join(tmpdir(), "taskiq-client-"));
});

afterAll(async () => {
  await proxy.close();
  await deployment.stop();
  rmSync(folder, { recursive: true });
});

test("a task goes in and its result comes out", async () => {
  const { taskId } = await client.enqueue(echo, { a: [1, "😀", null] }, { labels: { team: "x" }, priority: 5 });
  const done = await client.wait(taskId);
  expect(done).toMatchObject({
    taskId,
    task: "test.echo",
    queue: "default",
    state: "succeeded",
    attempt: 1,
    failures: 0,
    losses: 0,
    priority: 5,
    labels: { team: "x" },
    input: { a: [1, "😀", null] },
    result: { a: [1, "😀", null] },
    error: null,
  });
  expect(Number(done.finishedAt)).toBeGreaterThanOrEqual(Number(done.startedAt));
  expect(JSON.parse(done.json)).toMatchObject({ task_id: taskId });
});

test("the tasks of a batch keep their order", async () => {
  const entries = Array.from({ length: 50 }, (_, n) => ({ task: "test.echo", input: n }));
  const { taskIds } = await client.enqueueBatch(entries);
  const done = await Promise.all(taskIds.map((id) => client.wait(id)));
  expect(done.map(({ result }) => result)).toEqual(entries.map(({ input }) => input));
});

test("the same key makes one task, another input with it is refused", async () => {
  const options = { idempotencyKey: "order-17" };
  const first = await client.enqueue("test.echo", 1, options);
  expect(await client.enqueue("test.echo", 1, options)).toEqual(first);
  await expect(client.enqueue("test.echo", 2, options)).rejects.toMatchObject({
    code: "idempotency_mismatch",
    status: 422,
  });
});

test("a wait goes over several polls and over cut connections", async () => {
  const file = join(folder, "gate");
  const { taskId } = await client.enqueue("test.gate", { file });
  const seen: Task[] = [];
  const waiting = client.wait(taskId, { onUpdate: (task) => seen.push(task) });
  await until(() => seen.some(({ progress }) => progress === 0.4), { what: "the task is at its gate" });
  const polls = seen.length;
  proxy.cut();
  await until(() => seen.length > polls + 1, { what: "two more polls after the cut" });
  writeFileSync(file, "");
  expect(await waiting).toMatchObject({ state: "succeeded", result: { opened: file } });
});

test("a submission whose answer is lost makes one task", async () => {
  const dropping = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(deployment.url).port) });
  const unlucky = createClient({ baseUrl: `http://127.0.0.1:${dropping.port}` });
  dropping.silence("to_client");
  const submitting = unlucky.enqueue("test.echo", "once");
  const accepted = () =>
    executeSql(deployment.env.DATABASE_URL ?? "", "select id from taskiq.task where input::text = '\"once\"'");
  await until(async () => (await accepted()).rowCount === 1, { what: "the task is accepted" });
  dropping.cut();
  dropping.restore();
  const { taskId } = await submitting;
  expect((await accepted()).rows).toEqual([{ id: taskId }]);
  await dropping.close();
});

test("an input that does not fit is refused with the path of what is wrong", async () => {
  const refused: ApiError = await client.enqueue(sleep, { duration_seconds: 1_000 }).catch((error) => error);
  expect(refused).toMatchObject({ name: "ApiError", code: "input_invalid", status: 422 });
  expect(refused.issues).toEqual([{ path: expect.stringContaining("duration_seconds"), message: expect.any(String) }]);
});

test("an id that no task has is task_not_found", async () => {
  await expect(client.get("01900000-0000-7000-8000-000000000000")).rejects.toMatchObject({
    code: "task_not_found",
    status: 404,
  });
});

test("the health has every queue", async () => {
  const health = await until(async () => {
    const now = await client.health();
    return now.workersAlive === 1 ? now : undefined;
  });
  expect(health).toMatchObject({
    status: "ok",
    database: { status: "ok", error: null },
    queues: [
      { name: "default", deadLettered: expect.any(Number), unsent: expect.any(Number), workers: 1, error: null },
    ],
  });
});
