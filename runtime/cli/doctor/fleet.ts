/** What the database knows of the fleet: workers that are alive, queues that are paused, schedules that do not fire. */
import type { Queryable } from "../../postgres/pool.ts";
import { loadSql } from "../../postgres/sql.ts";
import { type Finding, ok, warn } from "./finding.ts";

type Fleet = {
  readonly workers: number;
  readonly lost: number;
  readonly polled: readonly string[];
  /** JSON text. */
  readonly paused: string;
  readonly schedules: number;
  readonly paused_schedules: number;
  readonly disabled_schedules: number;
};

/** Three beats at the default interval. */
const ALIVE_MS = 30_000;

const readFleet = loadSql(import.meta.url, "./read-fleet.sql");

export async function checkFleet(database: Queryable, queues: readonly string[]): Promise<Finding[]> {
  const [fleet] = await database.query<Fleet>(readFleet, [ALIVE_MS]);
  if (fleet === undefined) throw new Error("the database answered without a row");
  return [...describeWorkers(fleet, queues), ...describePaused(fleet), ...describeSchedules(fleet)];
}

function describeWorkers({ workers, lost, polled }: Fleet, queues: readonly string[]): Finding[] {
  const start = "Start one with taskiq-aws worker start.";
  const missing = queues.filter((queue) => !polled.includes(queue));
  const gone = lost === 0 ? "" : ` ${counted(lost, "worker")} of the last day ended without a word.`;
  if (workers === 0) return [warn("workers", `No worker is alive: what is submitted waits.${gone}`, start)];
  const told = `${counted(workers, "worker")} alive, on ${polled.length === 0 ? "no queue" : polled.join(", ")}.`;
  return [
    lost === 0
      ? ok("workers", told)
      : warn(
          "workers",
          `${told}${gone}`,
          "Look at their logs: a crash, a kill for memory, or a machine that went away.",
        ),
    ...missing.map((queue) =>
      warn("workers", `No worker polls the queue ${queue}.`, `Add it to TASKIQ_WORKER_QUEUES of some. ${start}`),
    ),
  ];
}

function describePaused({ paused }: Fleet): Finding[] {
  // As the statement builds it.
  const queues = JSON.parse(paused) as readonly { readonly queue: string; readonly by: string | null }[];
  return queues.map(({ queue, by }) =>
    warn(
      `queue ${queue}`,
      `It is paused${by === null ? "" : ` by ${by}`}: what arrives waits.`,
      `To go on: taskiq-aws queue resume ${queue}.`,
    ),
  );
}

function describeSchedules({ schedules, paused_schedules: paused, disabled_schedules: disabled }: Fleet): Finding[] {
  if (schedules === 0) return [];
  const told = `${counted(schedules, "schedule")}, ${paused} paused.`;
  if (disabled === 0) return [ok("schedules", told)];
  const problem = `${told} ${counted(disabled, "schedule")} could not make a task and ${disabled === 1 ? "is" : "are"} disabled.`;
  return [warn("schedules", problem, "taskiq-aws schedule list says why; resume each when that is mended.")];
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
