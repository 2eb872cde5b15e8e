/** A worker that is killed takes with it what it has started: children that compute for ever, and commands that ignore every signal. */
import { expect, it } from "vitest";
import { startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { submit } from "../system/work.ts";
import { APART, groupIsGone, processes } from "./processes.ts";

const SETTINGS = { TASKIQ_TASK_MODULES: APART, TASKIQ_COMMANDS: "on", TASKIQ_PROCESS_WARM: "1" };
const DEAF = ["sh", "-c", 'trap "" TERM INT HUP; sleep infinity & while :; do sleep 1; done'];

it(
  "kill -9 of a worker: its processes and those of its commands are gone, and so are their tasks' leases",
  async ({ onTestFinished }) => {
    const system = await startSystem({ env: SETTINGS });
    onTestFinished(system.stop);
    const [api, worker] = await Promise.all([system.startApi(), system.startWorker("first")]);
    const started = worker.log("worker.started")[0];
    expect(started?.tasks).toEqual(expect.arrayContaining(["command", "apart.spins"]));

    const ids = await submit(api, [
      { task: "apart.spins", input: null },
      { task: "apart.waits", input: { child: true } },
      { task: "command", input: { argv: DEAF } },
    ]);
    const mine = processes().find(({ pid }) => pid === worker.pid);
    expect(mine).toBeDefined();
    /** Leaders of groups below the worker: two children at work, one or two warm, the command and the guard. */
    const leaders = () =>
      processes()
        .filter(({ parent, pid, group }) => parent === worker.pid && pid === group)
        .map(({ pid }) => pid);
    await until(
      async () => {
        const rows = await ask<{ said: number }>(
          system.database,
          "select count(*)::int as said from taskiq.task where progress_message is not null and id = any($1)",
          [ids],
        );
        // The command says nothing: its `sleep infinity` is in a group with its shell.
        const groups = leaders().map((leader) => processes().filter(({ group }) => group === leader).length);
        return rows[0]?.said === 2 && groups.filter((size) => size >= 3).length >= 2;
      },
      { deadlineMs: 30_000, what: "three tasks at work" },
    );
    const before = leaders();
    expect(before.length).toBeGreaterThanOrEqual(5);

    worker.signal("SIGKILL");
    await worker.exited;
    await until(() => before.every(groupIsGone), { what: "the end of all that the worker has started" });

    await until(
      async () => {
        const rows = await ask<{ state: string; losses: number }>(
          system.database,
          "select state, losses from taskiq.task where id = any($1)",
          [ids],
        );
        return rows.every(({ state, losses }) => state === "queued" && losses === 1);
      },
      { deadlineMs: TIMES.leaseMs + TIMES.recoveryMs + 10_000, what: "tasks that are queued again" },
    );
  },
  TIMES.testTimeoutMs,
);
