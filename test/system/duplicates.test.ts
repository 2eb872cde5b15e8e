/** Standard queues deliver a message now and then twice. Here they do it with every message, to many workers at once. */
import { expect, it } from "vitest";
import { systemClock as clock } from "../../runtime/clock.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import { createSubmitter } from "../../runtime/flow/submit.ts";
import { openLog } from "../../runtime/log.ts";
import { openPayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import type { QueueSet } from "../../runtime/queue/queue-set.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { createWorker } from "../../runtime/worker/worker.ts";
import { startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { until } from "../support/until.ts";
import { counted } from "./tasks/counted.ts";
import { census, deadLetters } from "./work.ts";

const TASKS = 2_000;
const WORKERS = 8;
const LIMITS = { inlinePayloadBytes: 65_536, maxPayloadBytes: 16_777_216 };

it("2,000 tasks whose messages all come twice to 8 workers have 2,000 outcomes and 2,000 effects, and nothing is logged", {
  timeout: TIMES.testTimeoutMs,
}, async ({ onTestFinished, annotate }) => {
  const system = await startSystem();
  onTestFinished(system.stop);
  const pools: Database[] = [];
  const sets: SqsQueues[] = [];
  onTestFinished(async () => {
    for (const set of sets) set.close();
    await Promise.all(pools.map((pool) => pool.close()));
  });
  const open = (max: number): Database => {
    const pool = openDatabase({ connectionString: system.databaseUrl, max, applicationName: "duplicates" });
    pools.push(pool);
    return pool;
  };
  const openChanged = (change: (queue: Queue) => Queue): QueueSet => {
    const set = openQueues(system.aws);
    sets.push(set);
    const queue = set.get("default");
    const altered = queue && change(queue);
    return { ...set, get: (name) => (name === "default" ? altered : undefined) };
  };
  const complaints: string[] = [];
  const log = openLog({ level: "warn", format: "json", service: "test", write: (line) => complaints.push(line) });
  const payloads = openPayloadStore({ ...system.aws, maxBytes: LIMITS.maxPayloadBytes });
  const registry = createRegistry([counted]);
  const outcomes = new Map<string, number>();
  let received = 0;

  const workers = Array.from({ length: WORKERS }, (_, index) =>
    createWorker({
      name: `worker-${index}`,
      version: "test",
      registry,
      middlewares: [
        {
          name: "outcomes",
          postSave(task, { recorded }) {
            if (recorded === "succeeded") outcomes.set(task.id, (outcomes.get(task.id) ?? 0) + 1);
          },
        },
      ],
      queues: openChanged((queue) => ({
        ...queue,
        async receive(options) {
          const messages = await queue.receive(options);
          received += messages.length;
          return messages;
        },
      })),
      queueNames: ["default"],
      payloads,
      database: open(2),
      commitDatabase: open(3),
      beatDatabase: open(1),
      log,
      clock,
      settings: {
        slots: 20,
        graceMs: 5_000,
        leaseMs: 30_000,
        extendIntervalMs: 10_000,
        receiveWaitMs: 1_000,
        completeLingerMs: 3,
        commitTimeoutMs: 5_000,
        unknownTaskAfterMs: 60_000,
        drainWorkMs: 5_000,
        drainBudgetMs: 10_000,
        ...LIMITS,
      },
    }),
  );
  const twice = openChanged((queue) => ({
    ...queue,
    async send(messages) {
      const [outcomes] = await Promise.all([queue.send(messages), queue.send(messages)]);
      return outcomes;
    },
  }));
  const database = open(2);
  const submitter = createSubmitter({
    database,
    payloads,
    announcer: createAnnouncer({ database, queues: twice, payloads, log }),
    registry,
    middlewares: { call: () => null },
    queues: twice,
    ...LIMITS,
    idempotencyTtlMs: 60_000,
    groupCommitMs: 0,
  });

  for (const worker of workers) worker.start();
  onTestFinished(async () => {
    await Promise.all(workers.map((worker) => worker.drain()));
  });
  const startedMs = clock.nowMs();
  const request = { task: counted.name, input: { firstMs: 0, laterMs: 0 } };
  const half = Array.from({ length: TASKS / 2 }, () => request);
  await Promise.all([1, 2].map(() => submitter.submit(half, { tenant: "default" })));
  await until(() => outcomes.size === TASKS, { deadlineMs: 60_000, what: `${TASKS} outcomes` });
  await annotate(`${TASKS} tasks in ${Math.round(clock.nowMs() - startedMs)} ms`);
  // The last of the doubles are still on their way, and those that met a claim of the same task come back after 5 s.
  await until(async () => Object.values(await system.queue.depth()).every((count) => count === 0), {
    deadlineMs: 30_000,
    what: "an empty queue",
  });

  expect(received).toBeGreaterThanOrEqual(2 * TASKS);
  expect([...outcomes.values()].every((count) => count === 1)).toBe(true);
  expect(await census(system)).toEqual([{ tasks: TASKS, state: "succeeded", failures: 0, losses: 0, effects: 1 }]);
  expect(await deadLetters(system)).toEqual([]);
  expect(complaints).toEqual([]);
});
