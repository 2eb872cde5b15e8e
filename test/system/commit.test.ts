/** A commit(tx) that does not end: it costs the other attempts of its worker nothing, and it cannot commit late. */
import { describe, expect, it } from "vitest";
import { type Role, type System, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask, readAttemptLog } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { INSIDE, LATE_WRITE } from "./tasks/hanging-commit.ts";
import {
  census,
  counted,
  databaseNow,
  FOR_EVER_MS,
  readRows,
  type Submission,
  submit,
  times,
  untilStarted,
  untilSucceeded,
} from "./work.ts";

const OTHERS = 6;

const hanging = (hangMs: number, freeze: boolean): Submission => ({
  task: "test.hanging-commit",
  input: { hangMs, freeze },
});

describe.concurrent("a commit(tx) that does not end", { timeout: TIMES.testTimeoutMs }, () => {
  it("that hangs costs the other attempts nothing, fails as commit_timeout, is retried, and its late write is refused", async ({
    onTestFinished,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    // It holds its row for longer than a lease: neither it nor the others may lose theirs by that.
    const [api, worker] = await Promise.all([
      system.startApi(),
      system.startWorker("only", { TASKIQ_COMMIT_TIMEOUT_MS: String(TIMES.longestCommitMs) }),
    ]);
    const others = await submit(api, times(OTHERS, counted(TIMES.awayMs)));
    const [hung = ""] = await submit(api, [hanging(TIMES.awayMs, false)]);

    await untilSucceeded(system, 1, TIMES.longestCommitMs + 10_000);
    const [row] = await readRows(system, [hung]);
    expect(row).toMatchObject({ state: "succeeded", attempt: 2, failures: 1, losses: 0, effects: 1 });
    const attempts = await readAttemptLog(system.database, hung);
    expect(attempts.map(({ attempt, outcome }) => ({ attempt, outcome }))).toEqual([
      { attempt: 1, outcome: "retried" },
    ]);
    expect(attempts[0]?.error).toContain("commit_timeout");

    const late = await worker.logged("task.log", (line) => line.message === LATE_WRITE, TIMES.awayMs + 5_000);
    expect(late.refused).toBe(true);
    await untilSucceeded(system, OTHERS + 1, TIMES.awayMs + 10_000);
    const rows = await readRows(system, others);
    expect(rows.map(({ attempt, failures, losses, effects }) => ({ attempt, failures, losses, effects }))).toEqual(
      others.map(() => ({ attempt: 1, failures: 0, losses: 0, effects: 1 })),
    );
    expect((await readRows(system, [hung]))[0]).toEqual(row);
  });

  // Two ways to commit late: before anything else runs in the process, or after its timers have found their time over.
  it.for([
    { what: "goes on at once", hangMs: 0 },
    { what: "hangs on", hangMs: TIMES.commitTimeoutMs + 1_000 },
  ])(
    "in a worker frozen beyond its lease is undone by the server, runs elsewhere, and cannot commit late when it $what",
    async ({ hangMs }, { onTestFinished }) => {
      const system = await startSystem();
      onTestFinished(system.stop);
      const [api, frozen] = await Promise.all([system.startApi(), system.startWorker("frozen")]);
      const others = await submit(api, times(OTHERS, counted(FOR_EVER_MS)));
      await untilStarted(frozen, others);
      const [hung = ""] = await submit(api, [hanging(hangMs, true)]);
      await frozen.logged("task.log", (line) => line.message === INSIDE);
      const frozenAt = await databaseNow(system);
      expect(await isLocked(system, hung)).toBe(true);
      await system.startWorker("second");

      await until(async () => !(await isLocked(system, hung)), {
        deadlineMs: 20_000,
        what: "the row released by the server",
      });
      await untilSucceeded(system, OTHERS + 1, TIMES.leaseMs + TIMES.recoveryMs + 20_000);
      await until(async () => (await databaseNow(system)).getTime() - frozenAt.getTime() >= TIMES.awayMs, {
        deadlineMs: TIMES.awayMs,
        what: "the end of the freeze",
      });
      const before = await readRows(system);
      frozen.signal("SIGCONT");
      await untilEnded(frozen, [hung, ...others]);
      const late = await frozen.logged("task.log", (line) => line.message === LATE_WRITE);
      expect(late.refused).toBe(true);

      expect(await readRows(system)).toEqual(before);
      expect(await census(system)).toEqual([
        { tasks: OTHERS + 1, state: "succeeded", failures: 0, losses: 1, effects: 1 },
      ]);
    },
  );
});

/** Whether a transaction holds the task's row. */
async function isLocked(system: System, id: string): Promise<boolean> {
  const free = await ask(system.database, "select id from taskiq.task where id = $1 for update skip locked", [id]);
  return free.length === 0;
}

/** Resolves when the worker has said of each of these tasks that its attempt changed nothing. */
async function untilEnded(worker: Role, ids: readonly string[]): Promise<void> {
  const ended = () => [...worker.log("task.refused"), ...worker.log("task.lost")].map((line) => line.taskId);
  await until(() => ids.every((id) => ended().includes(id)), {
    what: `an end of ${ids.length} attempts on ${worker.name}`,
  });
}
