/** What a whole worker counts, where no row says it. */
import { expect, test } from "vitest";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";
import { createMeters } from "../../runtime/metrics/meters.ts";
import { createWorkerMetrics, outcomeOf } from "../../runtime/metrics/worker-metrics.ts";
import { parseMetrics, sumOf } from "../support/metrics-text.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, createGate, tapDatabase, useRig } from "../worker/rig.ts";
import { demo, untilState } from "../worker/tasks-of-worker.ts";

const rig = useRig();
const TASK = { queue: "default", name: "demo", attempt: 2 } as ClaimedTask; // What is counted of it.

function counting() {
  const meters = createMeters(["worker"]);
  const read = async (name: string, labels: Record<string, string> = {}) =>
    sumOf(parseMetrics(await meters.text()), name, labels);
  return { metrics: createWorkerMetrics(meters), read };
}

test.each([
  ["succeeded", "succeeded", "succeeded"],
  ["failed", "failed", "failed"],
  ["failed", "queued", "retried"],
  ["released", "queued", "released"],
  ["cancelled", "cancelled", "cancelled"],
  ["failed", "cancelled", "cancelled"],
  ["skipped", "skipped", "skipped"],
  ["expanded", "blocked", "expanded"],
  ["succeeded", "refused", "lost"],
  ["lost", "nothing", "lost"],
] as const)("an attempt that %s and was recorded as %s counts as %s", (kind, recorded, outcome) => {
  expect(outcomeOf(kind, recorded)).toBe(outcome);
});

test("attempts a task took are noted when it is over, not when it is tried again", async () => {
  const { metrics, read } = counting();
  metrics.attemptEnded({ ...TASK, attempt: 1 }, "failed", "queued");
  metrics.attemptEnded(TASK, "succeeded", "succeeded");
  metrics.attemptEnded(TASK, "lost", "nothing");
  expect(await read("taskq_attempts_count", { type: "demo" })).toBe(1);
  expect(await read("taskq_attempts_sum")).toBe(2);
  expect(await read("taskq_lease_lost_total")).toBe(1);
});

test("a task that is rung for again while it runs and when it is over is not won again", async () => {
  const { metrics, read } = counting();
  const end = createGate();
  rig.start({ metrics, tasks: [demo(() => end.opened)] });
  const [id] = (await rig.submit([{}])) as [string];
  await until(async () => (await read("taskq_tasks_running", { queue: "default", type: "demo" })) === 1);
  expect(await read("taskq_worker_slots", { state: "free" })).toBe(9);
  await rig.ring([id]);
  await until(async () => (await read("taskq_claims_total", { result: "leased" })) === 1);
  end.open();
  await untilState(rig, id, "succeeded");
  await rig.ring([id]);
  await until(async () => (await read("taskq_claims_total", { result: "duplicate" })) === 1);
  expect(await read("taskq_claims_total", { result: "won" })).toBe(1);
});

test("poison is counted with its reason, and a doorbell of a task that is gone as missing", async () => {
  const { metrics, read } = counting();
  rig.start({ metrics, tasks: [demo(() => null)] });
  await rig.send([{ body: "no message of ours" }]);
  await rig.ring(["0198f3c0-0000-7000-8000-000000000000"]);
  await until(async () => (await read("taskq_messages_poisoned_total", { reason: "unreadable" })) === 1);
  await until(async () => (await read("taskq_claims_total", { result: "missing" })) === 1);
});

test("a cancellation is timed from its request, and one that is not obeyed is counted as a kill", async () => {
  const { metrics, read } = counting();
  const left = createGate();
  rig.start({
    metrics,
    tasks: [demo(untilAborted), { ...demo(() => left.opened), name: "deaf" }],
  });
  const [obedient, ignorant] = (await rig.submit([{}, { name: "deaf", graceMs: 20 }])) as [string, string];
  await until(async () => (await read("taskq_tasks_running")) === 2);
  const cancel = "update taskiq.task set cancel_requested_at = now() - interval '2 seconds' where id = any($1::uuid[])";
  await ask(rig.database, cancel, [[obedient, ignorant]]);
  await untilState(rig, obedient, "cancelled");
  await untilState(rig, ignorant, "cancelled");
  await until(async () => (await read("taskq_cancel_escalations_total", { level: "kill" })) === 1);
  expect(await read("taskq_cancel_escalations_total", { level: "abort" })).toBe(2);
  expect(await read("taskq_cancel_latency_seconds_count")).toBe(2);
  expect(await read("taskq_cancel_latency_seconds_bucket", { le: "1.5" })).toBe(0);
  expect(await read("taskq_cancel_latency_seconds_bucket", { le: "5" })).toBe(2);
  left.open();
});

async function untilAborted(_: unknown, { signal }: { signal: AbortSignal }): Promise<never> {
  await aborted(signal);
  throw new Error("stopped");
}

test("sizes are those of what is stored, in a row or beside it; null has none", async () => {
  const { metrics, read } = counting();
  const results: Record<string, unknown> = { small: "x", large: "x".repeat(100_000), none: null };
  rig.start({ metrics, tasks: [demo((input) => results[String(input)])] });
  const ids = await rig.submit(Object.keys(results).map((name) => ({ input: JSON.stringify(name) })));
  for (const id of ids) await untilState(rig, id, "succeeded");
  expect(await read("taskq_payload_bytes_count", { kind: "result" })).toBe(2);
  expect(await read("taskq_payload_bytes_sum", { kind: "result" })).toBe(3 + 100_002);
});

test("a renewal that fails and a statement that is tried again are counted, and cost the attempt nothing", async () => {
  const { metrics, read } = counting();
  let failures = 1;
  const failing = tapDatabase(rig.open(), {
    before(statement) {
      if (statement.name !== "complete" || failures-- <= 0) return;
      throw Object.assign(new Error("connection lost"), { code: "ECONNRESET" });
    },
  });
  const beats = tapDatabase(rig.open(), {
    before(statement) {
      if (statement.name === "extend") throw new Error("no beat");
    },
  });
  const end = createGate();
  rig.start({
    metrics,
    database: failing,
    beatDatabase: beats,
    settings: { extendIntervalMs: 20 },
    tasks: [demo(() => end.opened)],
  });
  const [id] = (await rig.submit([{}])) as [string];
  await until(async () => (await read("taskq_heartbeat_failures_total", { target: "db" })) > 0);
  end.open();
  await untilState(rig, id, "succeeded");
  await until(async () => (await read("taskq_attempts_ended_total", { outcome: "succeeded" })) === 1);
  expect(await read("taskq_db_retry_total", { code: "ECONNRESET" })).toBe(1);
});
