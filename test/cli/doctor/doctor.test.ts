import { CreateQueueCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Diagnosis, diagnose } from "../../../runtime/cli/doctor/doctor.ts";
import type { Finding } from "../../../runtime/cli/doctor/finding.ts";
import { loadConfig } from "../../../runtime/config.ts";
import { schemaVersion } from "../../../runtime/postgres/migrate.ts";
import { answers, refuses, type ScriptedServer, startScriptedServer } from "../../client/scripted-server.ts";
import { startTestAws, type TestAws } from "../../support/aws.ts";
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "../../support/database.ts";
import { executeSql } from "../../support/execute-sql.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { startTlsFront } from "../../support/tls-front.ts";

type Env = Readonly<Record<string, string | undefined>>;

let database: TestDatabase;
let aws: TestAws;
let api: ScriptedServer;
let sqs: SQSClient;
let working: Env = {};
let nobodyThere = "";

beforeAll(async () => {
  [database, aws, api] = await Promise.all([createTestDatabase(), startTestAws(), startScriptedServer()]);
  const { endpoint, region, credentials } = aws;
  sqs = new SQSClient({ endpoint, region, credentials, useQueueUrlAsEndpoint: false });
  working = { ...aws.env, DATABASE_URL: database.url };
  // The SDK's own chain of credentials reads them there.
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" });
  const proxy = await startTcpProxy({ host: "127.0.0.1", port: 1 });
  await proxy.close();
  nobodyThere = `127.0.0.1:${proxy.port}`;
});

afterAll(async () => {
  sqs.destroy();
  await Promise.all([database.drop(), aws.stop(), api.close()]);
});

/** `env` over an environment in which everything works. */
function doctor(env: Env, apiUrl = `http://${nobodyThere}`, isGiven = false): Promise<Diagnosis> {
  return diagnose({
    api: { url: apiUrl, isGiven },
    readConfig: (overrides) => loadConfig({ ...env, ...overrides }),
    nodeVersion: "24.21.0",
  });
}

const of = ({ findings }: Diagnosis, check: string): readonly Finding[] =>
  findings.filter((finding) => finding.check === check);
const levels = (findings: readonly Finding[]) => findings.map(({ level }) => level);
const queues = (over: object) =>
  JSON.stringify([
    { name: "default", url: aws.queueUrl("default"), deadLetterUrl: aws.deadLetterUrl("default"), ...over },
  ]);

async function makeQueue(name: string, attributes: Record<string, string>): Promise<string> {
  await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
  return `${aws.endpoint}/000000000000/${name}`;
}

describe("where everything works", () => {
  test("only absent workers and the absent API are worth a warning", async () => {
    const diagnosis = await doctor(working);
    expect(diagnosis.findings.filter(({ level }) => level !== "ok").map(({ check }) => check)).toEqual([
      "workers",
      "API",
    ]);
    expect(diagnosis.isNothingThere).toBe(false);
    expect(of(diagnosis, "database").map(({ message }) => message)).toEqual([
      expect.stringMatching(/^Postgres \d+\.\d.* at 127\.0\.0\.1 answers in \d+\.\d ms\.$/),
      "The connection is not encrypted, and does not leave this machine.",
      `The schema is at version ${schemaVersion}, as this program needs it.`,
    ]);
    expect(of(diagnosis, "queue default")[0]?.message).toContain("0 visible, 0 in flight, 0 delayed; hidden for 300 s");
    expect(of(diagnosis, "bucket")[0]?.message).toMatch(/^taskiq-payloads stores and gives back an object/);
  });

  test("the database is all that a migration needs", async () => {
    const diagnosis = await doctor({ SERVICE_ROLE: "migrate", DATABASE_URL: database.url });
    expect(diagnosis.findings.map(({ check }) => check)).toEqual([
      "Node",
      "configuration",
      "database",
      "database",
      "database",
      "API",
    ]);
  });
});

describe("a broken configuration", () => {
  test("is told with every problem in a line, and hides nothing that can be checked all the same", async () => {
    const diagnosis = await doctor({
      ...working,
      TASKIQ_LEASE_MS: "30s",
      TASKIQ_WORKER_SLOT: "5",
      TASKIQ_QUEUES: "[",
    });
    const problems = of(diagnosis, "configuration");
    expect(levels(problems)).toEqual(["fail", "fail", "fail"]);
    expect(problems.map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('TASKIQ_LEASE_MS: expected an integer from 2000 to 600000, got "30s"'),
        expect.stringContaining("Did you mean TASKIQ_WORKER_SLOTS?"),
        expect.stringContaining("TASKIQ_QUEUES: expected a JSON list of queues"),
      ]),
    );
    expect(levels(of(diagnosis, "database"))).toEqual(["ok", "ok", "ok"]);
    expect(levels(of(diagnosis, "bucket"))).toEqual(["ok"]);
    expect(of(diagnosis, "queue default")).toEqual([]);
  });

  test("with a rule broken between two variables hides nothing either", async () => {
    const diagnosis = await doctor({ ...working, TASKIQ_LEASE_MS: "3000" });
    expect(levels(of(diagnosis, "configuration"))).toEqual(["fail"]);
    expect(levels(of(diagnosis, "queue default"))).toEqual(["ok"]);
  });

  test("of nothing at all, with nothing running, says so", async () => {
    const diagnosis = await doctor({});
    expect(levels(of(diagnosis, "configuration"))).toEqual(["fail", "fail", "fail"]);
    expect(diagnosis.isNothingThere).toBe(true);
  });

  test("of nothing at all is no failure for whoever only uses an API", async () => {
    api.script(answers(200, {}), answers(200, health("ok")));
    const diagnosis = await doctor({}, api.url);
    expect(levels(of(diagnosis, "configuration"))).toEqual(["warn"]);
    expect(levels(of(diagnosis, "API"))).toEqual(["ok", "ok"]);
  });
});

describe("a database", () => {
  const databaseOf = async (url: string, over: Env = {}) =>
    of(await doctor({ ...working, DATABASE_URL: url, ...over }), "database");
  const changed = (change: (url: URL) => void): string => {
    const url = new URL(database.url);
    change(url);
    return url.href;
  };

  test("that is not there is told with its place, and without its password", async () => {
    const [finding] = await databaseOf(`postgres://taskiq:secret@${nobodyThere}/tasks`);
    expect(finding).toMatchObject({ level: "fail", advice: expect.stringContaining("Nothing listens there") });
    expect(finding?.message).toBe(`${nobodyThere}/tasks: connect ECONNREFUSED ${nobodyThere}.`);
  });

  test("that refuses the password", async () => {
    const [finding] = await databaseOf(changed((url) => (url.password = "wrong-secret")));
    expect(finding).toMatchObject({ level: "fail", advice: expect.stringContaining("password in DATABASE_URL") });
    expect(JSON.stringify(finding)).not.toContain("wrong-secret");
  });

  test("that does not exist", async () => {
    const [finding] = await databaseOf(changed((url) => (url.pathname = "/nowhere")));
    expect(finding).toMatchObject({ level: "fail", advice: expect.stringContaining("Create that database") });
  });

  test("that stays silent is given up after three seconds", async () => {
    const { hostname, port } = new URL(database.url);
    const proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    proxy.silence();
    const [finding] = await databaseOf(changed((url) => (url.port = String(proxy.port))));
    expect(finding).toMatchObject({ level: "fail", advice: expect.stringContaining("security group") });
    await proxy.close();
  });

  test("without a schema, or with one of a newer release, says what to run", async () => {
    const empty = await createEmptyDatabase();
    const older = await databaseOf(empty.url);
    expect(older.filter(({ level }) => level === "fail").map(({ message }) => message)).toEqual([
      expect.stringContaining("got none. Run: taskiq-aws migrate"),
    ]);
    await executeSql(empty.url, "create schema taskiq");
    await executeSql(empty.url, "create table taskiq.migration as select 9999 as number");
    const newer = await databaseOf(empty.url);
    expect(newer.find(({ level }) => level === "fail")?.message).toContain("a newer release");
    await empty.drop();
  });

  test("behind a certificate that nobody vouches for, and behind one that somebody does", async () => {
    const { hostname, port } = new URL(database.url);
    const front = await startTlsFront({ host: hostname, port: Number(port) });
    const url = changed((one) => {
      one.host = `localhost:${front.port}`;
      one.search = "?sslmode=verify-full";
    });
    const [refused] = await databaseOf(url);
    expect(refused).toMatchObject({ level: "fail", advice: expect.stringContaining("TASKIQ_DATABASE_CA_FILE") });
    const trusted = await databaseOf(url, { TASKIQ_DATABASE_CA_FILE: front.caFile });
    expect(levels(trusted)).toEqual(["ok", "ok", "ok"]);
    await front.close();
  });
});

describe("a queue", () => {
  const queueOf = async (over: object) => doctor({ ...working, TASKIQ_QUEUES: queues(over) });

  test("that does not exist", async () => {
    const diagnosis = await queueOf({ url: `${aws.endpoint}/000000000000/nowhere` });
    expect(of(diagnosis, "queue default")).toMatchObject([
      { level: "fail", advice: expect.stringContaining("It does not exist: create it, or correct TASKIQ_QUEUES") },
    ]);
    expect(levels(of(diagnosis, "dead default"))).toEqual(["ok"]);
  });

  test("without a redrive policy, with short times, is told what to set", async () => {
    const url = await makeQueue("bare", { VisibilityTimeout: "5", MessageRetentionPeriod: "3600" });
    const found = of(await queueOf({ url }), "queue default");
    expect(levels(found)).toEqual(["ok", "warn", "warn", "warn"]);
    expect(found.map(({ advice }) => advice)).toEqual([
      null,
      expect.stringContaining("visibility timeout to 300 s"),
      expect.stringContaining("retention period to 1209600 s"),
      "Set a redrive policy to taskiq-default-dlq with maxReceiveCount 5.",
    ]);
  });

  test("whose dead messages go elsewhere, or too early", async () => {
    await makeQueue("elsewhere", {});
    const policy = { deadLetterTargetArn: "arn:aws:sqs:us-east-1:000000000000:elsewhere", maxReceiveCount: 1 };
    const url = await makeQueue("astray", { VisibilityTimeout: "300", RedrivePolicy: JSON.stringify(policy) });
    expect(of(await queueOf({ url }), "queue default").map(({ message }) => message)).toEqual([
      expect.stringContaining("1 deliveries"),
      "SQS moves dead messages to elsewhere, the configuration says taskiq-default-dlq.",
      "A message is moved away after 1 deliveries.",
    ]);
  });

  test("with dead messages is worth a look", async () => {
    const deadLetterUrl = await makeQueue("graveyard", { MessageRetentionPeriod: "60" });
    await sqs.send(new SendMessageCommand({ QueueUrl: deadLetterUrl, MessageBody: "{}" }));
    expect(of(await queueOf({ deadLetterUrl }), "dead default")).toMatchObject([
      { level: "warn", message: "1 dead message, kept 60 s." },
      { level: "warn", advice: "Set its retention period to 1209600 s or more." },
    ]);
  });

  test("at an address where nothing listens", async () => {
    const diagnosis = await doctor({ ...working, AWS_ENDPOINT_URL: `http://${nobodyThere}` });
    for (const check of ["queue default", "dead default", "bucket"]) {
      expect(of(diagnosis, check)).toMatchObject([
        { level: "fail", advice: expect.stringContaining("AWS_ENDPOINT_URL") },
      ]);
    }
  });

  test("behind an endpoint that stays silent is given up after three seconds", async () => {
    const { hostname, port } = new URL(aws.endpoint);
    const proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    proxy.silence();
    const diagnosis = await doctor({ ...working, AWS_ENDPOINT_URL: `http://127.0.0.1:${proxy.port}` });
    expect(levels(of(diagnosis, "queue default"))).toEqual(["fail"]);
    expect(levels(of(diagnosis, "bucket"))).toEqual(["fail"]);
    await proxy.close();
  });
});

describe("a queue of another kind", () => {
  const FIFO = { FifoQueue: "true" };
  const FAST = { ...FIFO, DeduplicationScope: "messageGroup", FifoThroughputLimit: "perMessageGroupId" };
  const redrive = (target: string, maxReceiveCount: number) => ({
    RedrivePolicy: JSON.stringify({
      deadLetterTargetArn: `arn:aws:sqs:us-east-1:000000000000:${target}`,
      maxReceiveCount,
    }),
  });
  const KEPT = { VisibilityTimeout: "300", MessageRetentionPeriod: "1209600" };

  /** The default queue as it is, and another one. */
  async function withQueue(queue: object): Promise<Diagnosis> {
    const all = [...JSON.parse(queues({})), queue];
    return await doctor({ ...working, TASKIQ_QUEUES: JSON.stringify(all) });
  }

  test("that fits is as it should be: FIFO, fair, ordered by priority, cancel", async () => {
    const dead = await makeQueue("fits-dlq.fifo", { ...FAST, ...KEPT });
    const ordered = await makeQueue("fits.fifo", { ...FAST, ...KEPT, ...redrive("fits-dlq.fifo", 1_000) });
    const fair = await makeQueue("fair", { ...KEPT, ...redrive("taskiq-default-dlq", 1_000) });
    const ranked = await makeQueue("ranked", { ...KEPT, ...redrive("taskiq-default-dlq", 5) });
    const deadLetterUrl = aws.deadLetterUrl("default");
    const all = [
      ...JSON.parse(queues({})),
      { name: "ordered", type: "fifo", url: ordered, deadLetterUrl: dead },
      { name: "fair", fair: true, url: fair, deadLetterUrl },
      { name: "ranked", order: "priority", url: ranked, deadLetterUrl },
      { name: "cancel", type: "cancel", url: await makeQueue("cancel", {}) },
    ];
    const diagnosis = await doctor({ ...working, TASKIQ_QUEUES: JSON.stringify(all) });
    const found = ["ordered", "fair", "ranked", "cancel"].flatMap((name) => of(diagnosis, `queue ${name}`));
    expect(found.map(({ level, message }) => `${level} ${message.split("; ").at(-1)}`)).toEqual([
      "ok FIFO.",
      "ok fair between tenants.",
      "ok ordered by priority.",
      "ok cancellations are asked for here.",
    ]);
    expect(levels(of(diagnosis, "dead ordered"))).toEqual(["ok"]);
  });

  test("FIFO, with slow throughput, deduplication by content and too few deliveries, is told what to set", async () => {
    const dead = await makeQueue("slow-dlq.fifo", { ...FAST, ...KEPT });
    const url = await makeQueue("slow.fifo", {
      ...FIFO,
      ...KEPT,
      ...redrive("slow-dlq.fifo", 5),
      ContentBasedDeduplication: "true",
    });
    const found = of(await withQueue({ name: "ordered", type: "fifo", url, deadLetterUrl: dead }), "queue ordered");
    expect(levels(found)).toEqual(["ok", "warn", "warn", "warn"]);
    expect(found.map(({ advice }) => advice)).toEqual([
      null,
      "Set DeduplicationScope to messageGroup and FifoThroughputLimit to perMessageGroupId.",
      expect.stringContaining("Set ContentBasedDeduplication to false"),
      expect.stringContaining("Set maxReceiveCount to 1000: here a message is received again"),
    ]);
  });

  test("standard where a FIFO one is meant, with such a dead-letter queue, does not work", async () => {
    const url = await makeQueue("no-fifo", { ...KEPT, ...redrive("taskiq-default-dlq", 1_000) });
    const deadLetterUrl = aws.deadLetterUrl("default");
    const diagnosis = await withQueue({ name: "ordered", type: "fifo", url, deadLetterUrl });
    expect(of(diagnosis, "queue ordered")).toMatchObject([
      { level: "ok" },
      { level: "fail", advice: expect.stringContaining("its name ends in .fifo") },
    ]);
    expect(of(diagnosis, "dead ordered")).toMatchObject([
      { level: "ok" },
      { level: "fail", message: "The queue is a FIFO one, its dead-letter queue is not." },
    ]);
  });

  test("FIFO where a standard one is meant", async () => {
    const url = await makeQueue("too-strict.fifo", { ...FAST, ...KEPT });
    const found = of(await doctor({ ...working, TASKIQ_QUEUES: queues({ url }) }), "queue default");
    expect(found).toContainEqual(expect.objectContaining({ message: "This is a FIFO queue, used as a standard one." }));
  });

  test("fair, without a redrive policy or with an ordinary one, is told the number of deliveries", async () => {
    const deadLetterUrl = aws.deadLetterUrl("default");
    const bare = await withQueue({ name: "fair", fair: true, url: await makeQueue("fair-bare", KEPT), deadLetterUrl });
    expect(of(bare, "queue fair").map(({ advice }) => advice)).toContain(
      "Set a redrive policy to taskiq-default-dlq with maxReceiveCount 1000.",
    );
    const url = await makeQueue("fair-few", { ...KEPT, ...redrive("taskiq-default-dlq", 5) });
    const few = await withQueue({ name: "fair", fair: true, url, deadLetterUrl });
    expect(levels(of(few, "queue fair"))).toEqual(["ok", "warn"]);
  });

  test("that delays every message", async () => {
    const url = await makeQueue("late", { ...KEPT, ...redrive("taskiq-default-dlq", 5), DelaySeconds: "30" });
    expect(of(await doctor({ ...working, TASKIQ_QUEUES: queues({ url }) }), "queue default")).toMatchObject([
      { level: "ok" },
      { level: "warn", message: "Every message waits 30 s before it is delivered." },
    ]);
  });

  test("cancel, with a dead-letter queue, or absent", async () => {
    const url = await makeQueue("cancel-dead", redrive("taskiq-default-dlq", 5));
    expect(of(await withQueue({ name: "cancel", type: "cancel", url }), "queue cancel")).toMatchObject([
      { level: "warn", advice: expect.stringContaining("Take its redrive policy away") },
    ]);
    const absent = { name: "cancel", type: "cancel", url: `${aws.endpoint}/000000000000/nowhere` };
    expect(levels(of(await withQueue(absent), "queue cancel"))).toEqual(["fail"]);
  });
});

describe("the fleet", () => {
  const worker = (name: string, polled: string, age: string, draining = false) =>
    executeSql(
      database.url,
      `insert into taskiq.worker (name, version, queues, slots, draining, beat_at)
       values ('${name}', '1', '{${polled}}', 5, ${draining}, now() - interval '${age}')`,
    );

  afterEach(() =>
    executeSql(database.url, "delete from taskiq.worker; delete from taskiq.paused_queue; delete from taskiq.schedule"),
  );

  test("with a worker on every queue is as it should be", async () => {
    await worker("one", "default", "1 s");
    expect(of(await doctor(working), "workers")).toEqual([
      { check: "workers", level: "ok", message: "1 worker alive, on default.", advice: null },
    ]);
  });

  test("with a queue that nobody polls, and a worker that is gone without a word", async () => {
    await worker("other", "mail", "1 s");
    await worker("draining", "default", "1 s", true);
    await worker("lost", "default", "10 min");
    await worker("forgotten", "default", "2 days");
    expect(of(await doctor(working), "workers")).toMatchObject([
      { level: "warn", message: "2 workers alive, on mail. 1 worker of the last day ended without a word." },
      { level: "warn", message: "No worker polls the queue default." },
    ]);
  });

  test("with a paused queue is told how to go on", async () => {
    await executeSql(database.url, "insert into taskiq.paused_queue (queue, paused_by) values ('default', 'anna')");
    expect(of(await doctor(working), "queue default")).toContainEqual({
      check: "queue default",
      level: "warn",
      message: "It is paused by anna: what arrives waits.",
      advice: "To go on: taskiq-aws queue resume default.",
    });
  });

  test("with schedules: how many, and how many cannot make their task", async () => {
    expect(of(await doctor(working), "schedules")).toEqual([]);
    const add = (name: string, more: string, values: string) =>
      executeSql(
        database.url,
        `insert into taskiq.schedule (id, name, task, interval_ms, anchor_at, next_at${more})
         values (gen_random_uuid(), '${name}', 'sleep', 60000, now(), now()${values})`,
      );
    await add("fires", "", "");
    await add("paused", ", paused_at", ", now()");
    expect(of(await doctor(working), "schedules")).toMatchObject([{ level: "ok", message: "2 schedules, 1 paused." }]);
    await add("broken", ", disabled_at, problem", ", now(), '{}'");
    expect(of(await doctor(working), "schedules")).toMatchObject([
      { level: "warn", message: "3 schedules, 1 paused. 1 schedule could not make a task and is disabled." },
    ]);
  });
});

test("one queue by its URL is looked at as well, and a mistake beside it hides nothing", async () => {
  const env = {
    ...working,
    TASKIQ_QUEUES: undefined,
    DAGSTER_TASKIQ_SQS_QUEUE_URL: aws.queueUrl("default"),
    TASKIQ_DEAD_LETTER_URL: aws.deadLetterUrl("default"),
  };
  expect(levels(of(await doctor(env), "queue default"))).toEqual(["ok"]);
  const diagnosis = await doctor({ ...env, TASKIQ_DEAD_LETTER_URL: "", TASKIQ_LEASE_MS: "30s" });
  expect(levels(of(diagnosis, "configuration"))).toEqual(["fail", "fail"]);
  expect(levels(of(diagnosis, "bucket"))).toEqual(["ok"]);
});

test("a bucket that does not exist", async () => {
  const diagnosis = await doctor({ ...working, TASKIQ_S3_BUCKET: "no-such-bucket" });
  expect(of(diagnosis, "bucket")).toMatchObject([
    { level: "fail", advice: expect.stringContaining("It does not exist: create it, or correct TASKIQ_S3_BUCKET") },
  ]);
});

describe("an API", () => {
  test("that is ready tells of what is behind it", async () => {
    api.script(answers(200, {}), answers(200, health("degraded", { workers: 0, oldest_age_seconds: 90 })));
    expect(of(await doctor(working, api.url), "API")).toMatchObject([
      { level: "warn" },
      {
        level: "warn",
        message: expect.stringContaining("waits since 1 min 30 s"),
        advice: expect.stringContaining("worker start"),
      },
    ]);
  });

  test("that is not ready says why", async () => {
    api.script(refuses(503, "database_unavailable"));
    expect(of(await doctor(working, api.url), "API")).toMatchObject([
      { level: "fail", message: `${api.url} is not ready: A detail.` },
    ]);
  });

  test("that was named and is not there is a failure", async () => {
    expect(levels(of(await doctor(working, `http://${nobodyThere}`, true), "API"))).toEqual(["fail"]);
  });

  test("is not anything that answers", async () => {
    api.script((reply) => reply.code(404).send("nothing here"));
    expect(of(await doctor(working, api.url), "API")).toMatchObject([
      { level: "warn", message: `Something else answers at ${api.url}.` },
    ]);
  });
});

test.each([
  ["24.21.0", "ok"],
  ["22.18.0", "warn"],
  ["22.17.1", "fail"],
  ["20.20.2", "fail"],
])("Node %s is %s", async (nodeVersion, level) => {
  const { findings } = await diagnose({
    api: { url: `http://${nobodyThere}`, isGiven: false },
    readConfig: (overrides) => loadConfig({ SERVICE_ROLE: "migrate", DATABASE_URL: database.url, ...overrides }),
    nodeVersion,
  });
  expect(findings[0]).toMatchObject({ check: "Node", level });
});

function health(status: string, queue: object = {}): object {
  return {
    status,
    database: { status: "ok" },
    workers_alive: 2,
    queues: [
      {
        name: "default",
        visible: 0,
        in_flight: 0,
        delayed: 0,
        dead_lettered: 0,
        oldest_age_seconds: null,
        unsent: 0,
        workers: 2,
        ...queue,
      },
    ],
  };
}
