/** Process tasks in a whole worker: from the row to the recorded outcome. */
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { systemClock } from "../../runtime/clock.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { isAlive } from "../support/processes.ts";
import { ask, readAttemptLog, readTask, readTasks, type TaskColumns } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, useRig } from "../worker/rig.ts";
import { untilState } from "../worker/tasks-of-worker.ts";
import { childGroups, groupIsGone, usePools } from "./processes.ts";
import * as apart from "./tasks/apart.ts";

const rig = useRig();
const poolOf = usePools();
const tasks = [...createRegistry(Object.values(apart)).values()];
const inline = defineTask({
  name: "inline.waits",
  input: z.unknown(),
  run: (_input, ctx) => aborted(ctx.signal).then(() => ctx.signal.throwIfAborted()),
});

beforeAll(() => ask(rig.database, "create table public.seen (task_id uuid, output json, pid int)"));

const apartRow = (name: string, input: unknown = null, columns: TaskColumns = {}): TaskColumns => ({
  name: `apart.${name}`,
  isolation: "process",
  input: JSON.stringify(input),
  maxAttempts: 1,
  ...columns,
});

async function submitOne(row: TaskColumns): Promise<string> {
  const [id] = await rig.submit([row]);
  return id ?? "";
}

const CANCEL_ALL = "update taskiq.task set cancel_requested_at = now() where state = 'running'";

/** Processes that run `waits` or `spins` say who they are; the worker stores it with its heartbeat. */
async function pidOf(id: string): Promise<number> {
  const said = await until(async () => (await readTask(rig.database, id)).progress_message, { deadlineMs: 20_000 });
  return (JSON.parse(said) as { pid: number }).pid;
}

const OFTEN = { extendIntervalMs: 100 };

describe("a worker with process tasks", () => {
  test("records what they return, and what they throw, by the policy", async () => {
    rig.start({ tasks, processes: poolOf({ log: rig.log }) });
    const [fine, failing, later] = (await rig.submit([
      apartRow("echo", { z: 1 }, { input: '{"z":-0.0,"s":"\\ud800"}' }),
      apartRow("breaks", "terminal", { maxAttempts: 5 }),
      apartRow("breaks", "exit", { maxAttempts: 2, backoffMs: 0 }),
    ])) as [string, string, string];
    await untilState(rig, fine, "succeeded", 20_000);
    expect((await readTask(rig.database, fine)).result).toBe('{"z":-0.0,"s":"\\ud800"}');
    await untilState(rig, failing, "failed", 20_000);
    expect(await readTask(rig.database, failing)).toMatchObject({ attempt: 1, failures: 1 });
    await untilState(rig, later, "queued", 20_000);
    await rig.ring([later]);
    await untilState(rig, later, "failed", 20_000);
    expect(await readTask(rig.database, later)).toMatchObject({ attempt: 2, failures: 2, losses: 0 });
    expect(JSON.parse((await readTask(rig.database, later)).error ?? "null")).toMatchObject({
      code: "process_crashed",
    });
    expect(rig.events("child.crashed")).toHaveLength(2);
  });

  test("commits in its own process, in the transaction of the completion, with what JSON makes of the result", async () => {
    rig.start({ tasks, processes: poolOf({ log: rig.log }) });
    const id = await submitOne(apartRow("committed", { when: "2026-11-21T10:00:00Z" }));
    await untilState(rig, id, "succeeded", 20_000);
    const [seen] = await ask<{ when: string; child: number; pid: number }>(
      rig.database,
      "select output ->> 'when' as when, (output ->> 'pid')::int as child, pid from public.seen where task_id = $1",
      [id],
    );
    expect(seen).toMatchObject({ when: "2026-11-21T10:00:00.000Z", pid: process.pid });
    expect(seen?.child).not.toBe(process.pid);
  });

  test("refuses to start without a pool", () => {
    expect(() => rig.start({ tasks })).toThrow(/apart\.\w+: expected a pool of processes/);
  });

  test("cancelled: 170 inline and 30 in processes, all at once, are over within 3 s, and no process of theirs is left", async ({
    annotate,
  }) => {
    rig.start({ tasks: [...tasks, inline], processes: poolOf({ log: rig.log }), settings: { slots: 200, ...OFTEN } });
    const ids = await rig.submit([
      ...Array.from({ length: 170 }, () => ({ name: inline.name })),
      ...Array.from({ length: 30 }, () => apartRow("waits", {})),
    ]);
    const pids = await Promise.all(ids.slice(170).map(pidOf));
    await until(async () => (await readTasks(rig.database)).every(({ state }) => state === "running"));
    const startedMs = systemClock.nowMs();
    await ask(rig.database, CANCEL_ALL);
    await until(async () => (await readTasks(rig.database)).every(({ state }) => state === "cancelled"));
    const tookMs = Math.round(systemClock.nowMs() - startedMs);
    await annotate(`170 inline and 30 process tasks were cancelled within ${tookMs} ms`);
    expect(tookMs).toBeLessThan(3_000);
    await until(() => pids.every(groupIsGone));
    expect(rig.events("slot.leaked")).toEqual([]);
  }, 60_000);

  test("cancelled while it computes for ever: killed after the grace time, and its slot serves the next task", async () => {
    rig.start({ tasks, processes: poolOf({ log: rig.log }), settings: { slots: 1, ...OFTEN } });
    const id = await submitOne(apartRow("spins", null, { graceMs: 300 }));
    const pid = await pidOf(id);
    const next = await submitOne(apartRow("echo", "next"));
    await ask(rig.database, CANCEL_ALL);
    await untilState(rig, id, "cancelled");
    expect(isAlive(pid)).toBe(false);
    await untilState(rig, next, "succeeded", 20_000);
    expect(rig.events("slot.leaked")).toEqual([]);
    expect(rig.events("child.killed")).toMatchObject([{ pid, taskId: id, task: "apart.spins" }]);
  });

  test("killed from outside: the attempt fails by its policy, the worker goes on, and nobody's lease is lost", async () => {
    rig.start({ tasks, processes: poolOf({ log: rig.log }), settings: { slots: 2, ...OFTEN } });
    const [killed, other] = (await rig.submit([
      apartRow("waits", {}, { maxAttempts: 3, backoffMs: 0 }),
      apartRow("waits", {}),
    ])) as [string, string];
    const [pid] = await Promise.all([pidOf(killed), pidOf(other)]);
    process.kill(pid, "SIGKILL");
    await untilState(rig, killed, "queued");
    expect(await readAttemptLog(rig.database, killed)).toMatchObject([
      { attempt: 1, outcome: "retried", error: expect.stringContaining("process_crashed") },
    ]);
    await rig.ring([killed]);
    await until(async () => (await readTask(rig.database, killed)).state === "running", { deadlineMs: 20_000 });
    expect(await readTask(rig.database, killed)).toMatchObject({ attempt: 2, failures: 1, losses: 0 });
    expect(await readTask(rig.database, other)).toMatchObject({ state: "running", attempt: 1 });
  });

  test("drained: what obeys and what computes for ever are queued again at no cost, and no process is left", async () => {
    const worker = rig.start({
      tasks,
      processes: poolOf({ log: rig.log, warm: 1 }),
      settings: { slots: 4, graceMs: 300, drainBudgetMs: 5_000, ...OFTEN },
    });
    const ids = await rig.submit([apartRow("waits", { child: true }), apartRow("spins"), apartRow("waits", {})]);
    const pids = await Promise.all(ids.map(pidOf));
    await worker.drain();
    for (const id of ids) {
      expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", failures: 0, losses: 0 });
    }
    await until(() => pids.every(groupIsGone));
    // The guard of the groups goes with the pool.
    await until(() => childGroups().leaders.length <= 1);
    expect(childGroups().zombies).toEqual([]);
  });

  test("that has lost a lease kills what computes for ever, and writes nothing", async () => {
    rig.start({ tasks, processes: poolOf({ log: rig.log }), settings: OFTEN });
    const id = await submitOne(apartRow("spins", null, { graceMs: 200 }));
    const pid = await pidOf(id);
    await ask(rig.database, "update taskiq.task set attempt = attempt + 1, worker = 'other' where id = $1", [id]);
    await until(() => groupIsGone(pid));
    expect(await readTask(rig.database, id)).toMatchObject({ state: "running", attempt: 2, worker: "other" });
  });
});
