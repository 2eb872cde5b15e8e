import { afterAll, beforeAll, expect, test } from "vitest";
import { hold } from "../flow/waiting.ts";
import { startAwsProxy } from "../support/aws-proxy.ts";
import { createTask, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

let place: PlaceKept;
/** Next to the outage. */
let steady: TestApi;

beforeAll(async () => {
  place = await createPlace();
  steady = await openTestApi(place);
});
afterAll(async () => {
  await steady?.close();
  await place?.drop();
});

async function startDatabaseProxy(): Promise<{ proxy: TcpProxy; databaseUrl: string }> {
  const url = new URL(place.databaseUrl);
  const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.host = `${proxy.host}:${proxy.port}`;
  return { proxy, databaseUrl: url.href };
}

function expectAway({ status, headers, text, body }: Awaited<ReturnType<TestApi["get"]>>): void {
  expect(status).toBe(503);
  expect(headers["retry-after"]).toBe("2");
  expect(body.code).toBe("database_unavailable");
  expect(text).not.toMatch(/ECONN|127\.0\.0\.1|terminated/);
}

test("without its database every route says so and when to come back, and works again afterwards", async () => {
  const { proxy, databaseUrl } = await startDatabaseProxy();
  const id = await createTask(steady.database, { state: "running" });
  let api = await openTestApi(place, { databaseUrl });
  try {
    expect((await api.get(`/v1/tasks/${id}`)).status).toBe(200);
    await proxy.close();
    const key = { "idempotency-key": "during the outage".replaceAll(" ", "-") };
    expectAway(await api.post("/v1/tasks", { task: "echo" }, key));
    expectAway(await api.post("/v1/tasks/batch", { tasks: [{ task: "echo" }, { task: "echo" }] }));
    expectAway(await api.post("/tasks", { duration_seconds: 1 }));
    expectAway(await api.get(`/v1/tasks/${id}`));
    expectAway(await api.get(`/tasks/${id}?wait_seconds=1`));
    expectAway(await api.get("/readyz"));
    expect((await api.get("/livez")).status).toBe(200);
    expect((await api.post("/v1/tasks", { task: "nope" })).status).toBe(422);
    expect(api.lines.filter((line) => line.includes("request.failed")).length).toBe(6);
  } finally {
    await api.close();
  }

  // Another process, because the proxy's port is gone with it.
  const again = await startDatabaseProxy();
  api = await openTestApi(place, { databaseUrl: again.databaseUrl });
  try {
    expect((await api.post("/v1/tasks", { task: "echo" })).status).toBe(202);
    again.proxy.cut();
    const key = { "idempotency-key": "repeated" };
    const first = await until(
      async () => {
        const answer = await api.post("/v1/tasks", { task: "echo", input: "repeated" }, key);
        return answer.status === 202 && answer;
      },
      { what: "a submission to be accepted after the connections were cut" },
    );
    expect(await readTask(steady.database, first.body.task_id)).toMatchObject({ input: '"repeated"' });
    expect((await api.get(`/v1/tasks/${id}`)).status).toBe(200);
  } finally {
    await api.close();
    await again.proxy.close();
  }
});

test("connections that are cut under load cost no task and make none twice", async () => {
  const { proxy, databaseUrl } = await startDatabaseProxy();
  const api = await openTestApi(place, { databaseUrl });
  try {
    const before = new Set((await readTasks(steady.database)).map(({ id }) => id));
    const submit = async (n: number): Promise<string> => {
      const key = { "idempotency-key": `cut-${n}` };
      const answer = await until(
        async () => {
          const { status, body } = await api.post("/v1/tasks", { task: "echo", input: n }, key);
          if (status !== 202) expect(status).toBe(503);
          return status === 202 && body;
        },
        { what: `task ${n} to be accepted` },
      );
      return answer.task_id;
    };
    const ids: string[] = [];
    for (let round = 0; round < 10; round++) {
      const submitting = [...Array(20).keys()].map((n) => submit(round * 20 + n));
      proxy.cut();
      ids.push(...(await Promise.all(submitting)));
    }
    const made = (await readTasks(steady.database)).map(({ id }) => id).filter((id) => !before.has(id));
    expect(made.sort()).toEqual([...new Set(ids)].sort());
    expect(made).toHaveLength(200);
  } finally {
    await api.close();
    await proxy.close();
  }
});

test("a caller that waits does not notice an outage that is shorter than its patience", async () => {
  const { proxy, databaseUrl } = await startDatabaseProxy();
  const api = await openTestApi(place, { databaseUrl });
  try {
    const id = await createTask(steady.database, { state: "running" });
    const before = api.database.statements;
    const waiting = api.get(`/v1/tasks/${id}?wait_seconds=60`);
    await until(() => api.database.statements >= before + 2);
    proxy.cut();
    await steady.database.transaction(async (tx) => {
      await tx.raw.query(
        `update taskiq.task set state = 'succeeded', worker = null, lease_until = null, finished_at = now() where id = $1`,
        [id],
      );
    });
    expect(await waiting).toMatchObject({ status: 200, body: { state: "succeeded" } });
  } finally {
    await api.close();
    await proxy.close();
  }
});

test("a database that gives up on a statement is away for its caller", async () => {
  const id = await createTask(steady.database);
  const holder = await hold(steady.database, (tx) => tx.raw.query("lock table taskiq.task in access exclusive mode"));
  try {
    const answers = await Promise.all([
      steady.get(`/v1/tasks/${id}`),
      steady.post("/v1/tasks", { task: "echo" }),
      steady.post("/v1/tasks", { task: "echo" }, { "idempotency-key": "locked" }),
    ]);
    for (const answer of answers) expectAway(answer);
  } finally {
    await holder.end();
  }
  expect((await steady.get(`/v1/tasks/${id}`)).status).toBe(200);
  expect((await steady.post("/v1/tasks", { task: "echo" }, { "idempotency-key": "locked" })).status).toBe(202);
});

test("tasks are accepted while SQS is away; their doorbells wait in the outbox", async () => {
  const proxy = await startAwsProxy(place.aws.endpoint);
  await proxy.close();
  const api = await openTestApi({ ...place, aws: { ...place.aws, endpoint: proxy.endpoint } });
  const { body } = await api.post("/v1/tasks", { task: "echo" });
  await api.close();
  expect(await readTask(steady.database, body.task_id)).toMatchObject({ state: "queued" });
  expect(await readOutbox(steady.database, body.task_id)).toHaveLength(1);
});

test("input that would go to S3 is refused for now while S3 is away, and nothing is kept", async () => {
  const proxy = await startAwsProxy(place.aws.endpoint);
  await proxy.close();
  const api = await openTestApi({ ...place, aws: { ...place.aws, endpoint: proxy.endpoint } });
  try {
    const before = (await readTasks(steady.database)).length;
    const { status, headers, body } = await api.post("/v1/tasks", { task: "echo", input: "x".repeat(100_000) });
    expect(status).toBe(503);
    expect(headers["retry-after"]).toBe("2");
    expect(body.code).toBe("payload_unavailable");
    expect(await readTasks(steady.database)).toHaveLength(before);
  } finally {
    await api.close();
  }
});
