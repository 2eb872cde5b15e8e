/** Runs of graphs whose workers die, and whose executors are away: every step ends once, and every run ends. */
import { describe, expect, it } from "vitest";
import { createClient } from "../../runtime/client/index.ts";
import type { Graph } from "../../runtime/model/graph.ts";
import { type Api, type Role, type System, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import {
  COMMITTING,
  chain,
  DIAMOND_KEYS,
  DIAMOND_WAYS,
  diamond,
  expectNothingOpen,
  type Gate,
  openGates,
  PLAIN,
  readStepRows,
  ref,
  untilOver,
} from "./run-work.ts";
import { databaseNow } from "./work.ts";

const RUNS = 30;
const WORKERS = 3;

describe.concurrent("runs go on", { timeout: TIMES.testTimeoutMs }, () => {
  it(`while a worker is killed in ${TIMES.killedIn} of a diamond: thirty runs succeed, each step with one effect`, async ({
    onTestFinished,
    annotate,
  }) => {
    // A message that a killed worker had received and not claimed is rung again.
    const system = await startSystem({ env: TIMES.ringAgain });
    onTestFinished(system.stop);
    const gates = openGates();
    onTestFinished(gates.remove);
    const [api, ...first] = await Promise.all([
      system.startApi(),
      ...Array.from({ length: WORKERS }, (_, index) => system.startWorker(`worker-${index}`)),
    ]);
    const workers = new Map(first.map((worker) => [worker.name, worker]));

    // One step in each of so many runs is held until its worker has been killed in it.
    const keys = TIMES.killedIn === "each step" ? DIAMOND_KEYS.flat() : DIAMOND_KEYS.flatMap(([key]) => key ?? []);
    const graphs = Array.from({ length: RUNS }, (_, place) => {
      const held = keys[place];
      const gate = gates.gate(`run-${place}`);
      return { held, gate, graph: diamond((key) => ({ ms: 50, ...(key === held && { gate: gate.path }) })) };
    });
    const startedMs = performance.now();
    const runIds = await startRuns(
      api,
      graphs.map(({ graph }) => graph),
    );
    const holding = new Map<string, Gate>();
    for (const [place, { held, gate }] of graphs.entries()) {
      if (held !== undefined) holding.set(`${runIds[place]} ${held}`, gate);
    }
    let kills = 0;
    for (; holding.size > 0; kills++) {
      const { step, worker } = await until(() => heldStep(system, holding, workers), {
        deadlineMs: TIMES.leaseMs + 4 * TIMES.ringAgainAfterMs + 20_000,
        what: `a worker in one of ${holding.size} steps`,
      });
      worker.signal("SIGKILL");
      await worker.exited;
      workers.delete(worker.name);
      holding.get(step)?.open();
      holding.delete(step);
      const name = `worker-${WORKERS + kills}`;
      workers.set(name, await system.startWorker(name));
    }
    const killedMs = performance.now();
    const states = await untilOver(system, runIds, TIMES.leaseMs + 4 * TIMES.ringAgainAfterMs + 60_000);
    const endedMs = performance.now();

    expect(new Set(states)).toEqual(new Set(["succeeded"]));
    const rows = await readStepRows(system, runIds);
    const lost = rows.reduce((sum, { losses }) => sum + losses, 0);
    await annotate(
      `${kills} kills in ${seconds(killedMs - startedMs)}, ${lost} attempts lost, all over ${seconds(endedMs - killedMs)} after the last`,
    );
    expect(kills).toBe(keys.length);
    expect(lost).toBeGreaterThanOrEqual(kills);
    expect(rows).toHaveLength(RUNS * DIAMOND_KEYS.flat().length);
    expect(
      rows.filter(({ state, name, effects }) => state !== "succeeded" || effects !== (name === COMMITTING ? 1 : 0)),
    ).toEqual([]);
    expect(rows.filter(({ key }) => key === "l5-0").map(({ result }) => result)).toEqual(
      runIds.map(() => String(DIAMOND_WAYS)),
    );
    // Lost or given back, and never ended twice.
    expect(
      await ask(
        system.database,
        "select distinct outcome from taskiq.attempt where outcome not in ('lost', 'released')",
      ),
    ).toEqual([]);
    await expectNothingOpen(system, runIds);
  });

  it("while all executors are frozen: workers go on from step to step, and ring for each other", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const [api] = await Promise.all([system.startApi(), system.startWorker("first"), system.startWorker("second")]);
    const steps = 20;
    const ms = Math.round((TIMES.awayMs * 0.7) / steps);
    const mapped = (elements: number): Graph => ({
      steps: [
        { key: "first", task: PLAIN, input: { ms } },
        {
          key: "each",
          task: COMMITTING,
          map: Array.from({ length: elements }, (_, place) => place),
          after: ["first"],
          input: { ms },
        },
        { key: "all", task: PLAIN, input: { refs: [ref("each")] } },
      ],
    });
    const alone = await startRuns(api, [
      chain(steps, () => ({ task: PLAIN }), { ms }),
      chain(steps, () => ({ task: COMMITTING }), { ms }),
      chain(steps, (place) => ({ task: place % 2 === 0 ? PLAIN : COMMITTING }), { ms }),
      diamond(() => ({ ms })),
      mapped(50),
    ]);
    // Retries wait in the outbox, and so do the doorbells of a wide map: those are rung for when the executors are back.
    const needing = await startRuns(api, [
      chain(steps, () => ({ task: COMMITTING }), { ms: ms / 4, failures: 1 }),
      mapped(250),
    ]);
    const all = [...alone, ...needing];
    await until(async () => (await runsWithSuccess(system, all)) === all.length, {
      deadlineMs: 30_000,
      what: "runs that are under way",
    });
    api.signal("SIGSTOP");
    const frozenAt = await databaseNow(system);
    const states = await untilOver(system, alone, TIMES.awayMs + 20_000);
    const aloneMs = (await databaseNow(system)).getTime() - frozenAt.getTime();
    expect(new Set(states)).toEqual(new Set(["succeeded"]));
    await until(async () => (await databaseNow(system)).getTime() - frozenAt.getTime() >= TIMES.awayMs, {
      deadlineMs: TIMES.awayMs,
      what: "the end of the freeze",
    });
    api.signal("SIGCONT");
    expect(new Set(await untilOver(system, needing, 60_000))).toEqual(new Set(["succeeded"]));
    const allMs = (await databaseNow(system)).getTime() - frozenAt.getTime();
    await annotate(
      `without executors: ${alone.length} runs over ${seconds(aloneMs)} after the freeze, the others ${seconds(allMs)}`,
    );

    const rows = await readStepRows(system, all);
    expect(rows.filter(({ losses }) => losses > 0)).toEqual([]);
    expect(
      rows.filter(({ name, key, effects }) => effects !== (name === COMMITTING && key !== "each" ? 1 : 0)),
    ).toEqual([]);
    await expectNothingOpen(system, all);
  });
});

async function startRuns(api: Api, graphs: readonly Graph[]): Promise<string[]> {
  const { runs } = createClient({ baseUrl: api.url });
  const accepted = await Promise.all(graphs.map((graph) => runs.start({ graph })));
  return accepted.map(({ runId }) => runId);
}

/** One of these steps that runs on a worker that is alive. `holding`: by run and key. */
async function heldStep(
  system: System,
  holding: ReadonlyMap<string, unknown>,
  workers: ReadonlyMap<string, Role>,
): Promise<{ step: string; worker: Role } | undefined> {
  const running = await ask<{ step: string; worker: string }>(
    system.database,
    "select run_id || ' ' || step_key as step, worker from taskiq.task where state = 'running' and worker = any($1::text[])",
    [[...workers.keys()]],
  );
  for (const { step, worker: name } of running) {
    const worker = workers.get(name);
    if (worker !== undefined && holding.has(step)) return { step, worker };
  }
  return undefined;
}

/** How many of these runs have a step that succeeded. */
async function runsWithSuccess(system: System, runIds: readonly string[]): Promise<number> {
  const [row] = await ask<{ runs: number }>(
    system.database,
    "select count(distinct run_id)::int as runs from taskiq.task where run_id = any($1::uuid[]) and state = 'succeeded'",
    [runIds],
  );
  return row?.runs ?? 0;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
