/**
 * Everything that each role of a deployment may do, done once by real processes: migration, API with executor loops and scaler,
 * worker. They have the environment that the infrastructure gives them, but for what is elsewhere in a test and how long things
 * take. Each talks to AWS through a recorder of its own.
 */
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { openPayloadStore } from "../../runtime/payload/s3.ts";
import type { Delivery, Queue } from "../../runtime/queue/queue.ts";
import { openQueues } from "../../runtime/queue/sqs.ts";
import { encodeDoorbell } from "../../runtime/wire/message.ts";
import type { AwsAnswer, AwsCall } from "../support/aws-proxy.ts";
import { startProcess } from "../support/processes.ts";
import type { Api, Role, System } from "../support/system.ts";
import { ask, createOutboxRow, createTask, readTask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { FOR_EVER_MS, untilStarted } from "../system/work.ts";
import { type StubAgent, startStubAgent } from "../worker/stub-agent.ts";
import type { DeployedStack, Environment } from "./deployed.ts";
import { protectionPermission } from "./permissions.ts";
import { type Recorder, startRecorder } from "./recorder.ts";

export type Keys = { readonly accessKeyId: string; readonly secretAccessKey: string };

export type Stage = {
  readonly system: System;
  readonly stack: DeployedStack;
  /** Has the queues and the bucket of the stack. */
  readonly endpoint: string;
  /** Of somebody who may do everything, and of each role. */
  readonly keys: { readonly root: Keys; readonly api: Keys; readonly worker: Keys };
  /** Answers what the endpoint cannot; null forwards the call. */
  answer(call: AwsCall): AwsAnswer | null;
  /** Called with what ends with the test. */
  onFinished(end: () => Promise<void>): void;
};

/** What each role was seen to do. The migration is done by a container in the API's task, so it has the API's role. */
export type Recording = { readonly api: Recorder; readonly worker: Recorder; readonly doctor: Recorder };

const MAIN = fileURLToPath(new URL("../../runtime/main.ts", import.meta.url));
const CLI = fileURLToPath(new URL("../../runtime/cli.ts", import.meta.url));
const MODULES = ["counted", "echo"].map((name) =>
  fileURLToPath(new URL(`../system/tasks/${name}.ts`, import.meta.url)),
);
const QUICK: Environment = {
  // Who may call the API is another test's matter.
  TASKIQ_API_AUTH: "none",
  TASKIQ_DRAIN_WORK_MS: "1000",
  TASKIQ_DRAIN_BUDGET_MS: "25000",
  TASKIQ_GRACE_MS: "1000",
  TASKIQ_RING_AGAIN_AFTER_MS: "2000",
  TASKIQ_RING_AGAIN_INTERVAL_MS: "500",
};
const SLOTS = 2;
/** Longer than the whole scenario: the polls that are open when the worker drains have not just ended by themselves. */
const POLL_MS = 20_000;
/** Too large for a row. */
const LARGE = "x".repeat(100_000);
const HOUR_SECONDS = 3_600;

export async function play(stage: Stage): Promise<Recording> {
  const recorder = async (): Promise<Recorder> => {
    const made = await startRecorder(stage.endpoint, stage.stack.place, stage.answer);
    stage.onFinished(made.close);
    return made;
  };
  const recorders = { api: await recorder(), worker: await recorder(), doctor: await recorder() };
  try {
    return await act(stage, recorders);
  } catch (error) {
    // What a role may not do shows as something that did not happen.
    const refused = Object.entries(recorders).flatMap(([role, one]) => one.refused.map((line) => `${role}: ${line}`));
    const distinct = [...new Set(refused)].slice(0, 20);
    throw new Error(`${error instanceof Error ? error.message : error}\n${distinct.join("\n")}`, { cause: error });
  }
}

async function act(stage: Stage, { api, worker, doctor }: Recording): Promise<Recording> {
  const { system, stack, keys } = stage;
  const { database } = system;
  const agent = await startStubAgent();
  stage.onFinished(agent.close);
  const root = openRoot(stage);
  const queues = [root.queue("default"), root.queue("tenants")] as const;
  const ordered = root.queue("ordered");
  const local = (environment: Environment, { accessKeyId, secretAccessKey }: Keys, to: Recorder): Environment => ({
    ...environment,
    ...QUICK,
    DATABASE_URL: databaseUrl(String(environment.DATABASE_URL), system.databaseUrl),
    TASKIQ_DATABASE_CA_FILE: "",
    AWS_ENDPOINT_URL: to.endpoint,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_PROFILE: "",
  });

  await untilMigrated(local(stack.migrate, keys.api, api));
  const apiEnv = local(stack.api, keys.api, api);
  const server = await system.startApi({
    ...apiEnv,
    TASKIQ_HTTP_HOST: "127.0.0.1",
    TASKIQ_HTTP_PORT: "0",
    TASKIQ_TASK_MODULES: MODULES.join(","),
    TASKIQ_SCALING_INTERVAL_MS: "500",
    TASKIQ_PRUNE_INTERVAL_MS: "500",
    TASKIQ_METRICS_INTERVAL_MS: "1000",
  });

  // Held back until the drain, and received as often by then as makes a message worth a copy.
  const held = await Promise.all(queues.map(holdWorn));
  const runner = await system.startWorker("only", {
    ...local(stack.worker, keys.worker, worker),
    ECS_AGENT_URI: agent.url,
    TASKIQ_TASK_MODULES: MODULES.join(","),
    TASKIQ_WORKER_SLOTS: String(SLOTS),
    TASKIQ_RECEIVE_WAIT_MS: String(POLL_MS),
    TASKIQ_PROTECT_AFTER_MS: "500",
    TASKIQ_PROBE_PORT: "0",
    TASKIQ_LOG: "tasks",
  });
  // Payloads on the way in and out, and those that are gone.
  const large = await submit(server, [echo({ text: LARGE }), echo({ text: LARGE }, "tenants")]);
  const gone = await submit(server, [{ ...echo({ text: LARGE }), delay_seconds: HOUR_SECONDS }]);
  await untilEnded(system, large);
  await expectStatus(`${server.url}/v1/tasks/${large[0]}`, 200);
  await root.remove([await refOf(system, large[1], "result_ref"), await refOf(system, gone[0], "input_ref")]);
  await fetch(`${server.url}/v1/tasks/${large[1]}`);
  await makeDue(system, gone[0]);
  await untilEnded(system, gone);

  // Ends in the dead-letter queue, by the API and by the worker.
  await untilEnded(system, await submit(server, [echo({ fail: true }), echo({ fail: true }, "tenants")]));
  await until(() => api.did("sqs:SendMessage", "-dead-letter"), { what: "a copy of a failed task" });
  for (const queue of queues) await send(queue, "not a task");
  await until(() => worker.did("sqs:SendMessage", "-dead-letter"), { what: "the message that is no task to be moved" });

  // The same on the FIFO queue, whose dead letters have a queue of their own.
  await untilEnded(system, await submit(server, [echo({}, "ordered"), echo({ fail: true }, "ordered")]));
  await until(() => api.did("sqs:SendMessage", "-dead-letter.fifo"), { what: "a copy of a failed task in its group" });
  await send(ordered, "not a task", "group");
  await until(() => worker.did("sqs:SendMessage", "-dead-letter.fifo"), { what: "the message of a group to be moved" });

  // Looked at, which gives back what it received, and then put back to work.
  for (const queue of ["default", "ordered"]) {
    const redrive = `${server.url}/v1/queues/${queue}/redrive`;
    for (const dry_run of [true, false]) await expectPosted(redrive, { dry_run, discard_poison: true });
  }

  // A message whose row is in use goes back; one of a task that has ended goes away.
  const [waiting = ""] = await submit(server, [{ ...echo({}), delay_seconds: HOUR_SECONDS }]);
  await database.transaction(async (tx) => {
    await tx.raw.query("select from taskiq.task where id = $1 for update", [waiting]);
    for (const queue of queues) await send(queue, encodeDoorbell({ taskId: waiting, taskName: "test.echo" }));
    await until(() => ["-default", "-tenants"].every((name) => worker.did("sqs:ChangeMessageVisibility", name)), {
      what: "the messages of a locked row to go back",
    });
  });
  await send(queues[0], encodeDoorbell({ taskId: large[0] ?? "", taskName: "test.echo" }));
  const [first = ""] = await submit(server, [{ ...echo({}, "ordered"), delay_seconds: HOUR_SECONDS }]);
  await ask(database, "update taskiq.task set not_before = now(), ordered_at = now() where id = $1", [first]);
  await database.transaction(async (tx) => {
    const { rows } = await tx.raw.query("select group_key from taskiq.task where id = $1 for update", [first]);
    await send(ordered, encodeDoorbell({ taskId: first, taskName: "test.echo" }), rows[0]?.group_key);
    await until(() => worker.did("sqs:ChangeMessageVisibility", "-ordered.fifo"), {
      what: "a locked group to go back",
    });
  });
  await untilEnded(system, [first]);

  // Asked for by somebody who may only send to a queue.
  await send(root.queue("cancel"), JSON.stringify({ task_id: waiting }));
  await untilEnded(system, [waiting]);
  await until(() => api.did("sqs:DeleteMessage", "-cancel"), { what: "the request to be deleted" });

  // A result for a foreign producer, a doorbell that was lost, what is asked of the API, and what is deleted in the end.
  const [foreign = ""] = large;
  await ask(database, "update taskiq.task set reply_key = 'results/' || id where id = $1", [foreign]);
  await createOutboxRow(database, { taskId: foreign, kind: "result" });
  const lost = await createTask(database, { name: "test.echo", input: '{"text":""}', announcedMsAgo: 60_000 });
  await untilEnded(system, [lost]);
  await expectStatus(`${server.url}/health`, 200);
  await until(() => api.did("s3:PutObject", `results/${foreign}`), { what: "the result of a foreign producer" });
  await until(() => api.did("ecs:UpdateService"), { what: "the scaler to ask for a worker" });
  const doctorEnv = { ...apiEnv, AWS_ENDPOINT_URL: doctor.endpoint };
  const examined = startProcess({ entry: CLI, args: ["doctor"], env: { ...doctorEnv, SERVICE_ROLE: "api" } });
  await examined.exited;
  await ask(database, "update taskiq.task set finished_at = now() - interval '1 year' where id = $1", [foreign]);
  await until(() => api.did("s3:DeleteObject"), { what: "the payloads of an old task to be deleted" });

  // What went back comes again after 5 s; then only the messages that are held are left for the drain.
  const left = async (queue: Queue) => Object.values(await queue.depth()).reduce((sum, one) => sum + one, 0);
  await until(async () => (await Promise.all(queues.map(left))).every((one) => one === 1), {
    what: "queues with nothing but what is held",
  });
  await drain(runner, { system, server, agent, held });
  server.signal("SIGTERM");
  expect(await server.exited).toEqual({ code: 0, signal: null });

  // What the agent of ECS does for the container, with the role of its task.
  const protection = protectionPermission(String(stack.api.TASKIQ_SCALING_CLUSTER), "0123456789abcdef", stack.place);
  return { api, doctor, worker: { ...worker, permissions: [...worker.permissions, protection] } };
}

type Submission = {
  readonly task: string;
  readonly input: object;
  readonly queue: string;
  readonly delay_seconds?: number;
};

function echo(input: { text?: string; fail?: boolean; workMs?: number }, queue = "default"): Submission {
  return { task: "test.echo", input: { text: "", ...input }, queue };
}

async function submit(api: Api, tasks: readonly Submission[]): Promise<string[]> {
  const response = await fetch(`${api.url}/v1/tasks/batch`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ tasks }),
  });
  const text = await response.text();
  expect(response.status, text).toBe(202);
  // As the API documents it.
  return (JSON.parse(text) as { task_ids: string[] }).task_ids;
}

/** What runs long is queued again, and what the open polls bring is sent again, as it is worn. */
async function drain(
  worker: Role,
  {
    system,
    server,
    agent,
    held,
  }: { system: System; server: Api; agent: StubAgent; held: readonly (() => Promise<void>)[] },
): Promise<void> {
  const long = await submit(server, [echo({ workMs: FOR_EVER_MS })]);
  await untilStarted(worker, long);
  await until(() => agent.calls.at(-1)?.ProtectionEnabled, { what: "the long task to be protected" });
  worker.signal("SIGTERM");
  await worker.logged("worker.draining");
  // To the polls that are still open.
  for (const show of held) await show();
  expect(await worker.exited).toEqual({ code: 0, signal: null });
  expect(agent.calls.at(-1)).toEqual({ ProtectionEnabled: false });
  expect((await readTask(system.database, long[0] ?? "")).state).toBe("queued");
}

async function untilMigrated(env: Environment): Promise<void> {
  const migration = startProcess({ entry: MAIN, env });
  const exit = await migration.exited;
  expect(exit, migration.lines.join("\n")).toEqual({ code: 0, signal: null });
}

/** A message that was received twice and stays hidden; the return value shows it again. */
async function holdWorn(queue: Queue): Promise<() => Promise<void>> {
  await send(queue, encodeDoorbell({ taskId: randomUUID(), taskName: "test.echo" }));
  const [first] = await received(queue);
  await queue.changeVisibility([{ receiptHandle: first.receiptHandle, visibilityMs: 0 }]);
  const [{ receiptHandle }] = await received(queue);
  return async () => {
    expect(await queue.changeVisibility([{ receiptHandle, visibilityMs: 0 }])).toBe(0);
  };
}

async function received(queue: Queue): Promise<[Delivery]> {
  const one = async () => (await queue.receive({ max: 1, waitMs: 1_000 }))[0];
  return [await until(one, { what: `a message in ${queue.name}` })];
}

/** @param groupId on a FIFO queue */
async function send(queue: Queue, body: string, groupId?: string): Promise<void> {
  const message = groupId === undefined ? { body } : { body, groupId, deduplicationId: randomUUID() };
  expect(await queue.send([message])).toEqual([{ kind: "sent" }]);
}

async function untilEnded(system: System, ids: readonly string[]): Promise<void> {
  await until(
    async () => {
      const rows = await ask(
        system.database,
        "select from taskiq.task where id = any($1::uuid[]) and finished_at is not null",
        [ids],
      );
      return rows.length === ids.length;
    },
    { deadlineMs: 20_000, what: `${ids.length} tasks to end` },
  );
}

async function makeDue({ database }: System, id = ""): Promise<void> {
  await ask(database, "update taskiq.task set not_before = now() where id = $1", [id]);
  await ask(database, "update taskiq.outbox set send_at = now() where task_id = $1", [id]);
}

async function refOf({ database }: System, id = "", column: "input_ref" | "result_ref"): Promise<string> {
  return String((await readTask(database, id))[column]);
}

async function expectStatus(url: string, status: number): Promise<void> {
  const response = await fetch(url);
  expect(response.status, await response.text()).toBe(status);
}

async function expectPosted(url: string, body: object): Promise<void> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  expect(response.ok, await response.text()).toBe(true);
}

/** The database's secret, in the shape that RDS gives it. */
export function credentialsOf(databaseUrl: string): string {
  const { username, password } = new URL(databaseUrl);
  return JSON.stringify({ username: decodeURIComponent(username), password: decodeURIComponent(password) });
}

/** The database of the test, with as much of its credentials in the URL as the infrastructure puts there. */
function databaseUrl(deployed: string, tested: string): string {
  const url = new URL(tested);
  if (new URL(deployed).username === "") url.username = "";
  url.password = "";
  return url.href;
}

/** What the test itself does, as somebody who may do everything. */
function openRoot({ stack, endpoint, keys, onFinished }: Stage) {
  const place = { region: stack.place.region, endpoint, credentials: keys.root };
  const names = JSON.parse(String(stack.api.TASKIQ_QUEUES)) as { name: string; url: string; type?: string }[];
  const set = openQueues({ ...place, queues: names.map(({ name, url }) => ({ name, url, deadLetterUrl: null })) });
  const store = openPayloadStore({ ...place, bucket: stack.bucket, maxBytes: 1_000_000 });
  onFinished(async () => {
    set.close();
    store.close();
  });
  return {
    queue(name: string): Queue {
      const found = set.get(name);
      if (found === undefined) throw new Error(`expected a queue ${name} in the stack`);
      return found;
    },
    remove: (refs: readonly string[]) => store.remove(refs),
  };
}
