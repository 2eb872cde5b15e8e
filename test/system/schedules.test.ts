/** Schedules and delays with real processes that are killed: each due time makes one task, and what waits is not forgotten. */
import { describe, expect, it } from "vitest";
import { systemClock as clock } from "../../runtime/clock.ts";
import { firingId } from "../../runtime/flow/schedule-fire.ts";
import { type Api, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { counted, readRows } from "./work.ts";

const SCHEDULES = 20;

async function post(api: Api, path: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${api.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  expect(response.ok, text).toBe(true);
  return JSON.parse(text);
}

describe.concurrent("with real processes", { timeout: TIMES.testTimeoutMs }, () => {
  it("four executors fire each second of twenty schedules once, one of them killed meanwhile, then all, then one back", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const apis = await Promise.all(Array.from({ length: 4 }, () => system.startApi()));
    const [first, second] = apis;
    if (first === undefined || second === undefined) throw new Error("expected four of them");
    for (let index = 0; index < SCHEDULES; index++) {
      const when = index % 2 === 0 ? { interval_seconds: 1 } : { cron: "* * * * * *", time_zone: "Europe/Berlin" };
      await post(second, "/v1/schedules", { name: `s-${index}`, ...counted(0), catch_up: "all", ...when });
    }
    const least = async () => {
      const [row] = await ask<{ least: number }>(
        system.database,
        "select min(fired)::int as least from taskiq.schedule",
      );
      return row?.least ?? 0;
    };

    const inTime = { deadlineMs: 30_000 };
    await until(async () => (await least()) >= 3, inTime);
    first.signal("SIGKILL");
    await first.exited;
    const before = await least();
    await until(async () => (await least()) >= before + 5, inTime);
    for (const api of apis) api.signal("SIGKILL");
    await Promise.all(apis.map((api) => api.exited));
    // Nobody fires what comes now.
    const waiting = "select count(*)::int as late from taskiq.schedule where next_at < now() - interval '4 seconds'";
    await until(async () => (await ask(system.database, waiting))[0]?.late === SCHEDULES, inTime);
    const killedAt = await least();
    await system.startApi();
    await until(async () => (await least()) >= killedAt + 6, inTime);
    await ask(system.database, "update taskiq.schedule set paused_at = now()");

    const rows = await ask<{ id: string; fired: number; first: number; next: number }>(
      system.database,
      `select id, fired::int as fired, (extract(epoch from next_at) * 1000)::float8 as next,
              (extract(epoch from case when cron is null then anchor_at else date_trunc('second', created_at) end) * 1000 + 1000)::float8 as first
         from taskiq.schedule`,
    );
    const made = (await ask<{ id: string }>(system.database, "select id from taskiq.task")).map(({ id }) => id);
    const due = rows.flatMap(({ id, first, next }) =>
      Array.from({ length: (next - first) / 1_000 }, (_, index) => firingId(id, first + index * 1_000)),
    );
    expect(made.sort()).toEqual(due.sort());
    expect(rows.reduce((sum, { fired }) => sum + fired, 0)).toBe(due.length);
    const late = await ask<{ p50: number; most: number }>(
      system.database,
      `select percentile_cont(0.5) within group (order by late) as p50, max(late) as most
         from (select extract(epoch from created_at - (labels->>'taskiq_aws_fire_time')::timestamptz)::float8 as late from taskiq.task) t`,
    );
    await annotate(
      `${made.length} tasks; late: p50 ${late[0]?.p50.toFixed(2)} s, at most ${late[0]?.most.toFixed(2)} s (outage included)`,
    );
    expect(made.length).toBeGreaterThanOrEqual(SCHEDULES * 14);
  });

  it("a delayed task waits in Postgres: it starts on time though every process was killed meanwhile, and a cancelled one never", async ({
    onTestFinished,
  }) => {
    const system = await startSystem({ env: TIMES.ringAgain });
    onTestFinished(system.stop);
    const [api, worker] = await Promise.all([system.startApi(), system.startWorker("first")]);
    const notBefore = new Date(clock.wallMs() + 10_000);
    const kept = await post(api, "/v1/tasks", { ...counted(0), not_before: notBefore.toISOString() });
    const delayed = await post(api, "/v1/tasks", { ...counted(0), delay_seconds: 10 });
    const cancelled = await post(api, "/v1/tasks", { ...counted(0), not_before: notBefore.toISOString() });
    await post(api, `/v1/tasks/${cancelled.task_id}/cancel`, {});
    for (const role of [api, worker]) role.signal("SIGKILL");
    await Promise.all([api.exited, worker.exited]);
    expect(await system.queue.depth()).toMatchObject({ visible: 0, delayed: 0 });

    await Promise.all([system.startApi(), system.startWorker("second")]);
    const ids = [kept, delayed].map(({ task_id }) => String(task_id));
    await until(async () => (await readRows(system, ids)).every(({ state }) => state === "succeeded"), {
      // The killed worker's last poll may have taken the message.
      deadlineMs: 60_000 + TIMES.ringAgainAfterMs,
    });
    for (const { started_at, effects } of await readRows(system, ids)) {
      expect(+(started_at ?? 0)).toBeGreaterThanOrEqual(+notBefore - 5);
      expect(effects).toBe(1);
    }
    expect(await readRows(system, [String(cancelled.task_id)])).toMatchObject([{ state: "cancelled", effects: 0 }]);
  });
});
