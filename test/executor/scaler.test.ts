/**
 * Against real Postgres, the SQS emulator and a stub of the ECS API. Time passes by moving what the database remembers back,
 * so a cooldown of five minutes takes one statement.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { type EcsWorkerService, openWorkerService } from "../../runtime/ecs/ecs.ts";
import { createExecutor, type Executor } from "../../runtime/executor/executor.ts";
import type { ExecutorLoop } from "../../runtime/executor/loop.ts";
import { createScaler, type ScalerParts } from "../../runtime/executor/scaler.ts";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import { openLog } from "../../runtime/log.ts";
import { DEFAULT_POLICY, type ScalingPolicy } from "../../runtime/model/scaling.ts";
import type { PayloadStore } from "../../runtime/payload/payload.ts";
import { openPayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import type { Statement } from "../../runtime/postgres/sql.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { CLUSTER, type EcsStub, ecsError, SERVICE, startEcsStub } from "../ecs/ecs-stub.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { type AwsProxy, sqsError, startAwsProxy } from "../support/aws-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createTasks } from "../support/tasks.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

type Line = { level: string; event: string; [field: string]: unknown };

const INTERVAL_MS = 5_000;
const POLICY: ScalingPolicy = { ...DEFAULT_POLICY, outCooldownMs: 30_000 };

let testDatabase: TestDatabase;
let database: Database;
/** The pool of another process. */
let otherDatabase: Database;
let aws: TestAws;
let sqs: AwsProxy;
let ecs: EcsStub;
let ecsProxy: AwsProxy;
let queues: SqsQueues;
let service: EcsWorkerService;
let payloads: PayloadStore;
let lines: Line[] = [];
let closing: (() => Promise<void> | void)[] = [];
const log = openLog({ level: "debug", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = open(testDatabase.url);
  otherDatabase = open(testDatabase.url);
});

beforeEach(async () => {
  aws = await startTestAws();
  const { region, credentials, bucket } = aws;
  sqs = await startAwsProxy(aws.endpoint);
  ecs = await startEcsStub(1);
  ecsProxy = await startAwsProxy(ecs.endpoint);
  queues = openQueues({
    endpoint: sqs.endpoint,
    region,
    credentials,
    queues: [{ name: "default", url: aws.queueUrl("default"), deadLetterUrl: aws.deadLetterUrl("default") }],
    commandTimeoutMs: 300,
  });
  service = openWorkerService({
    endpoint: ecsProxy.endpoint,
    region,
    credentials,
    cluster: CLUSTER,
    service: SERVICE,
    requestTimeoutMs: 200,
  });
  const store = openPayloadStore({ endpoint: aws.endpoint, region, credentials, bucket, maxBytes: 1_000_000 });
  payloads = store;
  closing = [store.close, service.close, queues.close, ecsProxy.close, ecs.close, sqs.close, aws.stop];
});

afterEach(async () => {
  for (const close of closing) await close();
  lines = [];
  await clearTasks(database);
  await ask(database, "delete from taskiq.turn");
});

afterAll(async () => {
  await Promise.all([database.close(), otherDatabase.close()]);
  await testDatabase.drop();
});

function open(connectionString: string): Database {
  return openDatabase({
    connectionString,
    max: 4,
    applicationName: "scaler test",
    connectTimeoutMs: 300,
    queryTimeoutMs: 2_000,
  });
}

function scalerOf(parts: Partial<ScalerParts> = {}): ExecutorLoop {
  return createScaler({
    database,
    queues,
    service,
    policy: POLICY,
    intervalMs: INTERVAL_MS,
    log,
    clock: systemClock,
    ...parts,
  });
}

/** The database with a way in front of its statements. */
function tapped(before: (statement: Statement) => Promise<void>): Database {
  return {
    ...database,
    get statements() {
      return database.statements;
    },
    async query<Row>(statement: Statement, params: readonly unknown[]) {
      await before(statement);
      return await database.query<Row>(statement, params);
    },
  };
}

async function waitingMessages(count: number): Promise<void> {
  await queues.get("default")?.send(Array.from({ length: count }, () => ({ body: "{}" })));
}

async function noMessages(): Promise<void> {
  const queue = queues.get("default");
  await until(async () => {
    const received = (await queue?.receive({ max: 10, waitMs: 0 })) ?? [];
    await queue?.remove(received.map((message) => message.receiptHandle));
    return received.length === 0;
  });
}

/** Workers that beat; the first `busy` of them run one attempt each. */
async function liveWorkers(count: number, busy = 0): Promise<void> {
  await ask(database, "delete from taskiq.worker");
  await ask(
    database,
    `insert into taskiq.worker (name, version, queues, slots, running)
     select 'worker-' || n, '1', '{default}', 5, case when n <= $2 then 1 else 0 end from generate_series(1, $1::int) n`,
    [count, busy],
  );
}

/** As if everything that is remembered had happened so much earlier. */
async function pass(ms: number): Promise<void> {
  await ask(
    database,
    `update taskiq.turn
        set taken_at = taken_at - $1::float8 * interval '1 millisecond',
            memory = (select json_object_agg(key, case
                        when json_typeof(value) = 'number' then to_json(value::text::float8 - $1::float8)
                        when key = 'busyMean' and json_typeof(value) = 'object'
                          then json_build_object('share', value -> 'share', 'atMs', (value ->> 'atMs')::float8 - $1::float8)
                        else value end)
                        from json_each(memory))`,
    [ms],
  );
}

/** Looks again and again for so long: each interval in a short time, in a long one as seldom as is no gap. */
async function lookFor(ms: number, scaler: ExecutorLoop): Promise<void> {
  const everyMs = ms > 6 * INTERVAL_MS ? 5 * INTERVAL_MS : INTERVAL_MS;
  for (let leftMs = ms; leftMs > 0; leftMs -= everyMs) {
    await pass(Math.min(everyMs, leftMs));
    await scaler.step();
  }
}

const linesOf = (event: string) => lines.filter((line) => line.event === event);
const QUIET = 300_000;

describe("one scaler", () => {
  test("asks for more workers while the backlog is above its limit, and says why", async () => {
    await waitingMessages(60);
    await scalerOf().step();
    expect(ecs.asked).toEqual([3]);
    expect(linesOf("scaling.changed")).toMatchObject([
      { level: "info", from: 1, to: 3, backlog: 60, reason: "backlog 60 is above 50" },
    ]);
  });

  test("counts due tasks whose doorbell is not sent yet", async () => {
    await createTasks(
      database,
      Array.from({ length: 60 }, () => ({})),
    );
    await ask(
      database,
      "insert into taskiq.outbox (kind, task_id, queue, send_at) select 'doorbell', id, queue, now() from taskiq.task",
    );
    await scalerOf().step();
    expect(ecs.asked).toEqual([3]);
  });

  test("does nothing, and says nothing, between the limits", async () => {
    await waitingMessages(30);
    await liveWorkers(1);
    const scaler = scalerOf();
    await lookFor(QUIET * 2, scaler);
    expect(ecs.asked).toEqual([]);
    expect(lines).toEqual([]);
  });

  test("waits for the cooldown between two scale-outs", async () => {
    await waitingMessages(60);
    const scaler = scalerOf();
    await scaler.step();
    await pass(INTERVAL_MS);
    await scaler.step();
    expect(ecs.asked).toEqual([3]);
    await pass(25_000);
    await scaler.step();
    expect(ecs.asked).toEqual([3, 5]);
  });

  test("asks for fewer after a long quiet time, and no sooner", async () => {
    ecs.service.desiredCount = 10;
    await liveWorkers(10);
    const scaler = scalerOf();
    await scaler.step();
    await lookFor(QUIET - INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([]);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([8]);
  });

  test("never asks for fewer than the busy workers, whatever the fleet's share of busy slots", async () => {
    ecs.service.desiredCount = 10;
    await liveWorkers(10, 9);
    const scaler = scalerOf();
    await scaler.step();
    await lookFor(QUIET * 3, scaler);
    expect(ecs.asked).toEqual([9]);
  });

  test("goes to zero when there is nothing to do, and back from it at the first message", async () => {
    await liveWorkers(1);
    const scaler = scalerOf({ policy: { ...POLICY, min: 0 } });
    await scaler.step();
    await lookFor(QUIET, scaler);
    expect(ecs.asked).toEqual([0]);
    await liveWorkers(0);
    await lookFor(QUIET, scaler);
    await waitingMessages(1);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([0, 1]);
  });

  test("wakes a sleeping fleet for a task that is due although SQS counts no message yet", async () => {
    ecs.service.desiredCount = 0;
    const scaler = scalerOf({ policy: { ...POLICY, min: 0 } });
    await scaler.step();
    expect(ecs.asked).toEqual([]);
    await createTasks(database, [{}]);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([1]);
  });

  test("takes a time in which nobody looked for one in which anything may have been", async () => {
    ecs.service.desiredCount = 10;
    await liveWorkers(10);
    const scaler = scalerOf();
    await scaler.step();
    await pass(QUIET * 2);
    await scaler.step();
    await lookFor(QUIET - INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([]);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([8]);
  });

  test.each([
    ["a memory of another shape", { lastOutAtMs: "yesterday" }],
    ["none", null],
  ])("begins anew with %s", async (_what, memory) => {
    await waitingMessages(60);
    await ask(
      database,
      "insert into taskiq.turn (name, taken_at, memory) values ('scaling', now() - interval '1 h', $1)",
      [JSON.stringify(memory)],
    );
    await scalerOf().step();
    expect(ecs.asked).toEqual([3]);
  });

  test("is held up no longer than a cooldown by times that are still to come", async () => {
    await waitingMessages(60);
    const scaler = scalerOf();
    await scaler.step();
    // The database's clock was set back by a day.
    await pass(-86_400_000);
    await scaler.step();
    await lookFor(25_000, scaler);
    expect(ecs.asked).toEqual([3]);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([3, 5]);
  });
});

describe("a deployment", () => {
  const deploy = (deploying: boolean) => {
    ecs.service.deployments = deploying
      ? [
          { status: "PRIMARY", rolloutState: "IN_PROGRESS" },
          { status: "ACTIVE", rolloutState: "COMPLETED" },
        ]
      : [{ status: "PRIMARY", rolloutState: "COMPLETED" }];
  };

  test("ends no worker, and quiet counts only from its end on", async () => {
    ecs.service.desiredCount = 10;
    await liveWorkers(10);
    const scaler = scalerOf();
    await scaler.step();
    await lookFor(QUIET - INTERVAL_MS, scaler);
    deploy(true);
    await lookFor(QUIET * 2, scaler);
    deploy(false);
    await lookFor(INTERVAL_MS, scaler);
    await lookFor(QUIET - INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([]);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([8]);
  });

  test.each([
    ["a policy that waits for no quiet", { quietMs: 0, inCooldownMs: 0 }],
    ["a maximum that was lowered", { max: 5 }],
  ])("ends no worker with %s either", async (_what, policy) => {
    ecs.service.desiredCount = 10;
    await liveWorkers(10);
    deploy(true);
    const scaler = scalerOf({ policy: { ...POLICY, ...policy } });
    await scaler.step();
    await lookFor(QUIET, scaler);
    expect(ecs.asked).toEqual([]);
    deploy(false);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toHaveLength(1);
  });

  test("does not keep workers from being added", async () => {
    await waitingMessages(60);
    deploy(true);
    await scalerOf().step();
    expect(ecs.asked).toEqual([3]);
  });
});

describe("several scalers", () => {
  const NO_COOLDOWN = { ...POLICY, outCooldownMs: 0, max: 1_000 };

  test("change the count at most once in an interval, however many ask at once", async () => {
    await waitingMessages(60);
    const scalers = [database, otherDatabase, database, otherDatabase, database].map((on) =>
      scalerOf({ database: on, policy: NO_COOLDOWN }),
    );
    for (let turn = 1; turn <= 8; turn++) {
      await Promise.all(scalers.map((scaler) => scaler.step()));
      expect(ecs.asked).toHaveLength(turn);
      await Promise.all(scalers.map((scaler) => scaler.step()));
      expect(ecs.asked).toHaveLength(turn);
      await pass(INTERVAL_MS);
    }
    expect(ecs.asked).toEqual([3, 5, 7, 9, 11, 13, 15, 17]);
  });

  test("in executors that run: each turn acts on what the one before it did", async () => {
    await waitingMessages(60);
    const idle = 1_000_000;
    const executors: Executor[] = [database, otherDatabase].map((on) =>
      createExecutor({
        database: on,
        payloads,
        announcer: createAnnouncer({ database: on, queues, payloads, log }),
        queueNames: queues.names,
        log,
        clock: systemClock,
        settings: {
          leaseMs: 30_000,
          announceIntervalMs: idle,
          reapIntervalMs: idle,
          ringAgainAfterMs: 300_000,
          ringAgainIntervalMs: idle,
          pruneIntervalMs: idle,
          retentionMs: idle,
        },
        extraLoops: [scalerOf({ database: on, policy: { ...NO_COOLDOWN, max: 21 }, intervalMs: 150 })],
      }),
    );
    const startedMs = systemClock.nowMs();
    for (const executor of executors) executor.start();
    await until(() => ecs.service.desiredCount === 21);
    // Ten changes are nine whole intervals apart.
    expect(systemClock.nowMs() - startedMs).toBeGreaterThanOrEqual(9 * 150);
    await Promise.all(executors.map((executor) => executor.stop()));
    expect(ecs.asked).toEqual([3, 5, 7, 9, 11, 13, 15, 17, 19, 21]);
    expect(linesOf("executor.started")[0]).toMatchObject({
      loops: ["announce", "reap", "ring-again", "limits", "deadlines", "prune", "scaling"],
    });
    expect(linesOf("executor.stopped")).toMatchObject([
      { elapsedMs: expect.any(Number) },
      { elapsedMs: expect.any(Number) },
    ]);
  });

  test("share what they remember: another process keeps the cooldown and the quiet time of the first", async () => {
    await waitingMessages(60);
    await liveWorkers(5);
    const first = scalerOf();
    await first.step();
    const second = scalerOf({ database: otherDatabase });
    await lookFor(25_000, second);
    expect(ecs.asked).toEqual([3]);
    await lookFor(INTERVAL_MS, second);
    expect(ecs.asked).toEqual([3, 5]);

    // Now quiet: half of the time is seen by one, half by the other.
    await noMessages();
    await lookFor(INTERVAL_MS, first);
    await lookFor(150_000, first);
    await lookFor(QUIET - 150_000 - INTERVAL_MS, second);
    expect(ecs.asked).toEqual([3, 5]);
    await lookFor(INTERVAL_MS, first);
    expect(ecs.asked).toEqual([3, 5, 4]);
  });

  test("one that was overtaken in its turn does not act on what it saw", async () => {
    await waitingMessages(60);
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow = scalerOf({
      policy: NO_COOLDOWN,
      database: tapped(async (statement) => {
        if (statement.name !== "store-memory") return;
        reached.resolve();
        await goOn.promise;
      }),
    });
    const stepping = slow.step();
    await reached.promise;
    await pass(INTERVAL_MS);
    await scalerOf({ database: otherDatabase, policy: NO_COOLDOWN }).step();
    expect(ecs.asked).toEqual([3]);
    goOn.resolve();
    await stepping;
    expect(ecs.asked).toEqual([3]);
  });
});

describe("an outage", () => {
  /** A fleet of ten, all but quiet for long enough. */
  async function nearlyQuiet(): Promise<ExecutorLoop> {
    ecs.service.desiredCount = 10;
    await liveWorkers(10);
    const scaler = scalerOf();
    await scaler.step();
    await lookFor(QUIET - INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([]);
    return scaler;
  }

  test("of SQS changes nothing, is said once, and quiet counts from its end on", async () => {
    const scaler = await nearlyQuiet();
    // Old tasks must not make the fleet grow while no worker could be told of them.
    await createTasks(database, [{ dueInMs: -3_600_000 }]);
    sqs.treat((call) => (call.operation === "GetQueueAttributes" ? sqsError(403, "AccessDenied") : { kind: "pass" }));
    await lookFor(6 * INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([]);
    expect(linesOf("scaling.failed")).toMatchObject([
      { level: "warn", part: "backlog", error: { code: "queue_unavailable" } },
    ]);
    await clearTasks(database);
    await liveWorkers(10);
    sqs.treat(() => ({ kind: "pass" }));
    await lookFor(INTERVAL_MS, scaler);
    await lookFor(QUIET - INTERVAL_MS, scaler);
    expect(linesOf("scaling.recovered")).toMatchObject([{ part: "backlog" }]);
    expect(linesOf("scaling.failed")).toHaveLength(1);
    expect(ecs.asked).toEqual([]);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([8]);
  });

  test("of SQS that is only silent ends the look in time", async () => {
    await waitingMessages(60);
    sqs.treat(() => ({ kind: "silence" }));
    const startedMs = systemClock.nowMs();
    await scalerOf({ lookMs: 250 }).step();
    expect(systemClock.nowMs() - startedMs).toBeLessThan(1_500);
    expect(ecs.asked).toEqual([]);
    expect(linesOf("scaling.failed")).toMatchObject([
      { part: "backlog", error: { message: "no answer within 250 ms" } },
    ]);
  });

  test.each([
    ["throttles", ecsError(400, "ThrottlingException")],
    ["fails", ecsError(500, "ServerException")],
    ["forbids", ecsError(400, "AccessDeniedException")],
    ["is silent", { kind: "silence" }],
  ] as const)("of ECS that %s changes nothing, and is said once", async (_what, treatment) => {
    const scaler = await nearlyQuiet();
    ecsProxy.treat((call) => (call.operation === "DescribeServices" ? treatment : { kind: "pass" }));
    await lookFor(2 * INTERVAL_MS, scaler);
    expect(ecsProxy.callsOf("UpdateService")).toEqual([]);
    expect(linesOf("scaling.failed")).toMatchObject([{ part: "service", error: { code: "scaling_unavailable" } }]);
    ecsProxy.treat(() => ({ kind: "pass" }));
    await lookFor(INTERVAL_MS, scaler);
    await lookFor(QUIET - INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([]);
    expect(linesOf("scaling.recovered")).toMatchObject([{ part: "service" }]);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([8]);
  });

  test("of Postgres changes nothing: without a turn nothing is asked and nothing is told", async () => {
    await waitingMessages(60);
    const url = new URL(testDatabase.url);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    url.hostname = proxy.host;
    url.port = String(proxy.port);
    const away = openDatabase({
      connectionString: url.href,
      max: 2,
      applicationName: "scaler test",
      connectTimeoutMs: 200,
      queryTimeoutMs: 300,
      closeTimeoutMs: 200,
    });
    const scaler = scalerOf({ database: away });
    proxy.silence();
    await expect(scaler.step()).rejects.toThrow();
    await expect(scaler.step()).rejects.toThrow();
    expect(ecsProxy.calls).toEqual([]);
    expect(linesOf("scaling.changed")).toEqual([]);
    proxy.cut();
    proxy.restore();
    await pass(INTERVAL_MS);
    await scaler.step();
    expect(ecs.asked).toEqual([3]);
    await away.close();
    await proxy.close();
  });

  test("of Postgres in the middle of a turn changes nothing: what cannot be remembered is not done", async () => {
    await waitingMessages(60);
    const scaler = scalerOf({
      database: tapped(async (statement) => {
        if (statement.name === "store-memory") throw new Error("connection lost");
      }),
    });
    await expect(scaler.step()).rejects.toThrow("connection lost");
    expect(ecs.asked).toEqual([]);
  });
});

describe("a change that ECS refuses", () => {
  const REFUSED = ecsError(400, "InvalidParameterException");
  const refuse = (refused: boolean) =>
    ecsProxy.treat((call) => (refused && call.operation === "UpdateService" ? REFUSED : { kind: "pass" }));

  test("is tried again in the next turn when workers are needed, and its error is said once", async () => {
    await waitingMessages(60);
    const scaler = scalerOf();
    refuse(true);
    await scaler.step();
    await lookFor(2 * INTERVAL_MS, scaler);
    expect(ecsProxy.callsOf("UpdateService")).toHaveLength(3);
    expect(linesOf("scaling.failed")).toMatchObject([{ part: "update", error: { code: "scaling_unavailable" } }]);
    expect(linesOf("scaling.changed")).toEqual([]);
    refuse(false);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([3]);
    expect(linesOf("scaling.recovered")).toMatchObject([{ part: "update" }]);
    // The cooldown counts from the change that was made.
    await lookFor(25_000, scaler);
    expect(ecs.asked).toEqual([3]);
  });

  test("waits for its cooldown when workers are to go: it may have been made all the same", async () => {
    ecs.service.desiredCount = 10;
    await liveWorkers(10);
    const scaler = scalerOf();
    await scaler.step();
    refuse(true);
    await lookFor(QUIET, scaler);
    expect(ecsProxy.callsOf("UpdateService")).toHaveLength(1);
    refuse(false);
    await lookFor(QUIET - INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([]);
    await lookFor(INTERVAL_MS, scaler);
    expect(ecs.asked).toEqual([8]);
  });
});
