/** A worker that dies, and one that is frozen beyond its lease: its tasks run elsewhere, and it can do no harm. */
import { describe, expect, it } from "vitest";
import { createClient } from "../../runtime/client/index.ts";
import { type Api, type LogLine, type Role, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import {
  census,
  counted,
  databaseNow,
  FOR_EVER_MS,
  readRows,
  submit,
  times,
  untilStarted,
  untilSucceeded,
} from "./work.ts";

const TASKS = 8;

describe.concurrent("a lost worker", { timeout: TIMES.testTimeoutMs }, () => {
  it("killed with running tasks: they run elsewhere within the lease and 5 s, each with one effect and one loss", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const [api, first] = await Promise.all([system.startApi(), system.startWorker("first")]);
    const ids = await submit(api, times(TASKS, counted(FOR_EVER_MS)));
    await untilStarted(first, ids);
    await system.startWorker("second");
    await until(async () => (await workerStates(api)).second === "alive, runs 0");
    expect((await workerStates(api)).first).toBe(`alive, runs ${TASKS}`);

    const killedAt = await databaseNow(system);
    first.signal("SIGKILL");
    await untilSucceeded(system, TASKS, TIMES.leaseMs + TIMES.recoveryMs + 10_000);
    // Three heartbeats are as long as a lease.
    await until(async () => (await workerStates(api)).first === "lost, runs 0", { deadlineMs: TIMES.leaseMs + 5_000 });
    expect(await workerStates(api)).toEqual({ first: "lost, runs 0", second: "alive, runs 0" });

    const rows = await readRows(system, ids);
    const recoveryMs = Math.max(...rows.map((row) => Number(row.started_at))) - killedAt.getTime();
    await annotate(`recovery after kill -9 of a worker: ${recoveryMs} ms, lease ${TIMES.leaseMs} ms`);
    expect(recoveryMs).toBeLessThanOrEqual(TIMES.leaseMs + TIMES.recoveryMs);
    expect(await census(system)).toEqual([{ tasks: TASKS, state: "succeeded", failures: 0, losses: 1, effects: 1 }]);
    expect(rows.map(({ worker, attempt }) => ({ worker, attempt }))).toEqual(
      rows.map(() => ({ worker: "second", attempt: 2 })),
    );
  });

  it("frozen beyond its lease and continued: it can write nothing, and goes on with new tasks", async ({
    onTestFinished,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const [api, frozen] = await Promise.all([system.startApi(), system.startWorker("frozen")]);
    // Half of them are over when the worker wakes up, so that it tries to record them; half hear that their lease is lost.
    const overdueMs = TIMES.leaseMs / 2;
    const ids = await submit(api, [...times(TASKS, counted(overdueMs)), ...times(TASKS, counted(FOR_EVER_MS))]);
    await untilStarted(frozen, ids);
    frozen.signal("SIGSTOP");
    const frozenAt = await databaseNow(system);
    const second = await system.startWorker("second");
    await untilSucceeded(system, ids.length, TIMES.leaseMs + TIMES.recoveryMs + 10_000);
    await until(async () => (await databaseNow(system)).getTime() - frozenAt.getTime() >= TIMES.awayMs, {
      deadlineMs: TIMES.awayMs,
      what: "the end of the freeze",
    });

    const before = await readRows(system, ids);
    expect(frozen.log("task.refused")).toEqual([]);
    frozen.signal("SIGCONT");
    await until(() => endsOf(frozen).length === ids.length, { what: "an end of every attempt of the frozen worker" });
    expect(frozen.log("task.refused")).toHaveLength(TASKS);
    expect(await readRows(system, ids)).toEqual(before);
    expect(await census(system)).toEqual([
      { tasks: ids.length, state: "succeeded", failures: 0, losses: 1, effects: 1 },
    ]);

    second.signal("SIGTERM");
    expect(await second.exited).toEqual({ code: 0, signal: null });
    const later = await submit(api, times(TASKS, counted(0)));
    await untilSucceeded(system, ids.length + TASKS, 10_000);
    expect((await readRows(system, later)).map((row) => row.worker)).toEqual(later.map(() => "frozen"));
  });

  it("cut off from a database that others reach: its tasks run elsewhere, and what it sent too late changes nothing", async ({
    onTestFinished,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const proxied = new URL(system.databaseUrl);
    const proxy = await startTcpProxy({ host: proxied.hostname, port: Number(proxied.port) });
    onTestFinished(proxy.close);
    proxied.port = String(proxy.port);
    const [api, cut] = await Promise.all([
      system.startApi(),
      system.startWorker("cut", { ...TIMES.impatient, DATABASE_URL: proxied.href }),
    ]);
    const ids = await submit(api, [...times(TASKS, counted(TIMES.leaseMs / 2)), ...times(TASKS, counted(FOR_EVER_MS))]);
    await untilStarted(cut, ids);
    proxy.silence();
    await system.startWorker("second");
    await untilSucceeded(system, ids.length, TIMES.leaseMs + TIMES.recoveryMs + 10_000);

    const before = await readRows(system, ids);
    // Whatever was sent into the silence arrives now.
    proxy.restore();
    await cut.logged("database.back");
    await until(() => endsOf(cut).length === ids.length, { what: "an end of every attempt of the worker" });
    expect(await readRows(system, ids)).toEqual(before);
    expect(await census(system)).toEqual([
      { tasks: ids.length, state: "succeeded", failures: 0, losses: 1, effects: 1 },
    ]);
    expect(cut.alive).toBe(true);
  });
});

/** As `worker list` shows them. */
async function workerStates(api: Api): Promise<Record<string, string>> {
  const workers = await createClient({ baseUrl: api.url }).workers.list();
  return Object.fromEntries(
    workers.map(({ name, state, runningTasks }) => [name, `${state}, runs ${runningTasks.length}`]),
  );
}

/** What a worker said of attempts that could record nothing. */
function endsOf(worker: Role): LogLine[] {
  return [...worker.log("task.refused"), ...worker.log("task.lost")];
}
