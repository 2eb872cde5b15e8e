/** Random graphs on real Postgres, moved in random order with deaths, doubles and batches, against the same graph played in memory. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";
import type { Graph } from "../../runtime/model/graph.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { expectedOf, graphs } from "../support/graphs.ts";
import { ask } from "../support/tasks.ts";
import { forgetMoves, violations, watchTasks } from "./audit.ts";
import { createRunWorld, type Ended, type RunWorld } from "./run-world.ts";

const RUNS = Number(process.env.TASKIQ_TEST_RUNS ?? 25);

let testDatabase: TestDatabase;
let database: Database;
let world: RunWorld;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "runs test" });
  world = createRunWorld(database);
  await watchTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** The same choices for the same seed, so that a failure comes again. */
function chooser(seed: number): (count: number) => number {
  let state = seed;
  return (count) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (state >>> 8) % Math.max(1, count);
  };
}

/** A task may lose five workers. */
const MOST_DEATHS = 4;

type Faults = { readonly deaths: boolean; readonly cancelAfter: number | null };

/** Moves a run until nothing in it can move. Returns the attempts that were recorded, by task. */
async function drive(runId: string, choose: (count: number) => number, faults: Faults): Promise<void> {
  let held: ClaimedTask[] = [];
  let ended: Ended[] = [];
  let deaths = 0;
  for (let moves = 0; ; moves++) {
    if (moves === faults.cancelAfter) await world.cancel(runId);
    const queued = await world.queued(runId);
    if (queued.length + held.length + ended.length === 0) return;
    const move = choose(10);
    if (move < 4 && queued.length > 0) {
      const some = queued.slice(choose(queued.length), choose(queued.length) + 1 + choose(20));
      const ids = some.length === 0 ? queued.slice(0, 1) : some;
      // Doubled messages: the second claim wins nothing.
      const [first, second] = await Promise.all([world.claim(ids, "first"), world.claim(ids, "second")]);
      held.push(...first, ...second);
    } else if (move < 7 && held.length > 0) {
      const count = 1 + choose(held.length);
      ended.push(...(await Promise.all(held.slice(0, count).map((task) => world.play(task)))));
      held = held.slice(count);
    } else if (move < 9 && ended.length > 0) {
      const count = 1 + choose(ended.length);
      const some = ended.slice(0, count);
      ended = ended.slice(count);
      held.push(...(await world.record(some, choose(2) === 0 ? world.offer("first", choose(4)) : null)));
      // Recorded again by a worker that did not hear the answer: refused.
      if (choose(4) === 0) await world.record(some, null);
    } else if (move === 9 && faults.deaths && held.length > 0) {
      const count = 1 + choose(held.length);
      if (deaths < MOST_DEATHS && choose(2) === 0) {
        deaths++;
        await world.lose(held.slice(0, count));
      }
      for (const task of held.slice(0, count)) await world.giveBack(task);
      // A stale attempt that comes late changes nothing.
      if (choose(3) > 0) held = held.slice(count);
    }
  }
}

async function outcomeOf(runId: string) {
  const rows = await world.steps(runId);
  return {
    state: await world.state(runId),
    steps: Object.fromEntries(
      rows.map((row) => [
        row.step_key,
        {
          state: row.state,
          result: row.result === null ? null : JSON.parse(row.result),
          code: row.error === null || row.state === "succeeded" ? null : JSON.parse(row.error).code,
        },
      ]),
    ),
  };
}

function expectedIn(graph: Graph) {
  const expected = expectedOf(graph);
  return {
    state: expected.state,
    steps: Object.fromEntries(
      [...expected.steps].map(([key, { state, result, code }]) => [key, { state, result: result ?? null, code }]),
    ),
  };
}

/** What no interleaving may do: a child that began before a parent had ended, an outcome that was replaced, a step that is still open. */
async function expectSound(runId: string): Promise<void> {
  const early = await ask(
    database,
    `select c.step_key as child, p.step_key as parent
       from taskiq.task c
       join taskiq.edge e on e.child = c.id
       join taskiq.task p on p.id = e.parent
      where c.run_id = $1
        -- A mapped step began before its elements were there.
        and c.elements is null
        and (p.finished_at is null or c.started_at < p.finished_at)`,
    [runId],
  );
  expect(early).toEqual([]);
  expect(await violations(database)).toEqual([]);
  await forgetMoves(database);
  const open = (await world.steps(runId)).filter(({ state }) => ["blocked", "queued", "running"].includes(state));
  expect(open).toEqual([]);
}

const SETTINGS = { numRuns: RUNS, endOnFailure: process.env.TASKIQ_TEST_SHRINK !== "1" };

describe("a run", () => {
  it("comes to what the graph comes to in memory, in whatever order, with deaths and doubles", async () => {
    await fc.assert(
      fc.asyncProperty(graphs(), fc.nat(), async (graph, seed) => {
        const runId = await world.start(graph);
        await drive(runId, chooser(seed), { deaths: true, cancelAfter: null });
        expect(await outcomeOf(runId)).toEqual(expectedIn(graph));
        await expectSound(runId);
      }),
      SETTINGS,
    );
  }, 600_000);

  it("that is cancelled ends, and no step changes what it had come to before", async () => {
    await fc.assert(
      fc.asyncProperty(graphs({ maxSteps: 60 }), fc.nat(), fc.nat(120), async (graph, seed, cancelAfter) => {
        const runId = await world.start(graph);
        await drive(runId, chooser(seed), { deaths: true, cancelAfter });
        await expectSound(runId);
        const expected = expectedIn(graph);
        const { state, steps } = await outcomeOf(runId);
        for (const [key, step] of Object.entries(steps)) {
          if (step.state !== "succeeded") continue;
          // A mapped step whose elements were cancelled has none to show.
          expect(step).toEqual(expected.steps[key]);
        }
        const cancelled = Object.values(steps).some((step) => step.state === "cancelled");
        if (!cancelled) expect(state).toBe(expected.state);
      }),
      SETTINGS,
    );
  }, 600_000);
});
