/** What pages show that are looked at: tasks in every state, runs, failures, dead letters, a schedule, a quarter of an hour of history. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { START_RUN_TASK } from "../../../runtime/tasks/start-run.ts";
import { createTasks, type TaskColumns } from "../../support/tasks.ts";
import { until } from "../../support/until.ts";
import type { Stack } from "./stack.ts";

/** Ids for the addresses of pages. */
export type Seed = {
  readonly succeededTask: string;
  readonly failedTask: string;
  readonly runningTask: string;
  readonly queuedTask: string;
  /** Of the job `etl`, over. */
  readonly mappedRun: string;
  /** Of the job `diamond`, over. */
  readonly wideRun: string;
  /** Of the job `web.gated`, whose middle step failed. */
  readonly failedRun: string;
  readonly runningRun: string;
  readonly schedule: string;
};

const MINUTE_MS = 60_000;
const HISTORY = 600;

export async function seed({ client, database }: Pick<Stack, "client" | "database">): Promise<Seed> {
  await createTasks(
    database,
    Array.from({ length: HISTORY }, (_, index) => ended(index)),
  );
  const folder = await mkdtemp(join(tmpdir(), "seed-"));
  const { taskId: succeededTask } = await client.enqueue(
    "sleep",
    { duration_seconds: 1 },
    { labels: { team: "billing", region: "eu" } },
  );
  const { taskId: failedTask } = await client.enqueue("web.flaky", { reason: "connect ECONNREFUSED 10.0.3.7:5432" });
  await client.enqueueBatch(
    Array.from({ length: 3 }, () => ({ task: "web.flaky", input: { reason: "the far end hung up" } })),
  );
  const { runId: mappedRun } = await client.runs.start({ job: "etl", input: { files: 40 }, labels: { team: "data" } });
  const { runId: wideRun } = await client.runs.start({ job: "diamond", input: { step_ms: 50 } });
  const { runId: failedRun } = await client.runs.start({ job: "web.gated", input: { path: join(folder, "missing") } });
  const schedule = await client.schedules.create({
    name: "nightly",
    task: START_RUN_TASK,
    input: { job: "nightly" },
    cron: "0 2 * * *",
    timeZone: "Europe/Berlin",
  });
  const hourly = await client.schedules.create({
    name: "hourly-report",
    task: "web.note",
    input: { text: "now" },
    intervalMs: 3_600_000,
  });
  await client.schedules.pause(hourly.scheduleId);
  await Promise.all([succeededTask, failedTask].map((id) => client.wait(id)));
  for (const id of [mappedRun, wideRun, failedRun]) {
    await until(async () => (await client.runs.get(id)).state !== "running", { deadlineMs: 60_000 });
  }
  const { taskId: runningTask } = await client.enqueue("sleep", { duration_seconds: 300 });
  await until(async () => (await client.get(runningTask)).state === "running");
  const { runId: runningRun } = await client.runs.start({ job: "diamond", input: { step_ms: 10_000 } });
  const { taskId: queuedTask } = await client.enqueue("sleep", { duration_seconds: 30 }, { delayMs: 3_600_000 });
  await until(async () => (await client.queues.get("default")).deadLettered !== 0, { deadlineMs: 30_000 });
  return {
    succeededTask,
    failedTask,
    runningTask,
    queuedTask,
    mappedRun,
    wideRun,
    failedRun,
    runningRun,
    schedule: schedule.scheduleId,
  };
}

/** Spread over a quarter of an hour, busier in its middle; one in fifteen failed, and some were cancelled. */
function ended(index: number): TaskColumns {
  const share = index / HISTORY;
  const finishedMsAgo = (15 * share + Math.sin(share * 9) / 2) * MINUTE_MS + 5_000;
  const ranMs = 200 + ((index * 37) % 1_800);
  const waitedMs = 20 + ((index * 91) % 700);
  const startedMsAgo = finishedMsAgo + ranMs;
  const times = {
    name: index % 3 === 0 ? "etl.parse" : "sleep",
    attempt: 1,
    worker: `worker-${1 + (index % 2)}`,
    startedMsAgo,
    finishedMsAgo,
    dueInMs: -(startedMsAgo + waitedMs),
    createdMsAgo: startedMsAgo + waitedMs,
  };
  if (index % 15 === 7) {
    const error = { type: "Error", code: index % 2 === 0 ? "timeout" : "handler_error", message: "no answer in time" };
    return { ...times, state: "failed", failures: 3, error };
  }
  return { ...times, state: index % 40 === 9 ? "cancelled" : "succeeded" };
}
