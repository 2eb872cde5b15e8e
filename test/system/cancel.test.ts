/** Cancelling what real workers run: in time, and also where the owner cannot hear of it. */
import { describe, expect, it } from "vitest";
import { startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { counted, FOR_EVER_MS, submit, times, untilStarted } from "./work.ts";

const TASKS = 20;

describe.concurrent("a cancelled task", { timeout: TIMES.testTimeoutMs }, () => {
  it("that runs is stopped within three seconds, and its effect is never seen", async ({ onTestFinished }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const [api, worker] = await Promise.all([system.startApi(), system.startWorker("only")]);
    const ids = await submit(api, times(TASKS, counted(FOR_EVER_MS)));
    await untilStarted(worker, ids);
    const startedMs = performance.now();
    const answers = await Promise.all(ids.map((id) => fetch(`${api.url}/v1/tasks/${id}/cancel`, { method: "POST" })));
    expect(answers.map(({ status }) => status)).toEqual(ids.map(() => 202));
    await until(async () => (await states(system)).every((state) => state === "cancelled"), { deadlineMs: 10_000 });
    expect(performance.now() - startedMs).toBeLessThan(3_000);
    const [effects] = await ask(system.database, "select count(*)::int as n from public.effect");
    expect(effects).toEqual({ n: 0 });
    const again = await fetch(`${api.url}/v1/tasks/${ids[0]}/cancel`, { method: "POST" });
    expect(again.status).toBe(409);
  });

  it("whose worker is frozen ends cancelled with its lease, and the worker can write nothing when it wakes up", async ({
    onTestFinished,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const [api, frozen] = await Promise.all([system.startApi(), system.startWorker("frozen")]);
    const ids = await submit(api, times(TASKS, counted(FOR_EVER_MS)));
    await untilStarted(frozen, ids);
    frozen.signal("SIGSTOP");
    for (const id of ids) await fetch(`${api.url}/v1/tasks/${id}/cancel`, { method: "POST" });
    await until(async () => (await states(system)).every((state) => state === "cancelled"), {
      deadlineMs: TIMES.leaseMs + TIMES.recoveryMs + 10_000,
      what: "all tasks to be cancelled",
    });
    const before = await rows(system);
    frozen.signal("SIGCONT");
    const later = await submit(api, times(1, counted(0)));
    await until(async () => (await states(system, later)).every((state) => state === "succeeded"), {
      deadlineMs: 20_000,
      what: "the worker to go on",
    });
    expect(await rows(system, ids)).toEqual(before);
  });
});

type System = Awaited<ReturnType<typeof startSystem>>;

async function states({ database }: System, ids: readonly string[] | null = null): Promise<string[]> {
  const found = await ask<{ state: string }>(
    database,
    "select state from taskiq.task where $1::uuid[] is null or id = any($1::uuid[])",
    [ids],
  );
  return found.map(({ state }) => state);
}

async function rows({ database }: System, ids: readonly string[] | null = null): Promise<unknown[]> {
  return await ask(
    database,
    "select id, state, attempt, losses, finished_at from taskiq.task where $1::uuid[] is null or id = any($1::uuid[]) order by id",
    [ids],
  );
}
