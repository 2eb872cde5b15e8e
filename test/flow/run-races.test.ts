/** Ends of steps that meet: over shared children, at the end of a run, with a cancel, an expansion, a retry, a skip over many levels. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";
import type { Graph, Step } from "../../runtime/model/graph.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask } from "../support/tasks.ts";
import { forgetMoves, violations, watchTasks } from "./audit.ts";
import { createRunWorld, type Ended, type RunWorld } from "./run-world.ts";
import { shuffled } from "./shuffled.ts";

const ROUNDS = 50;
const PARENTS = 40;
const CHILDREN = 300;

let testDatabase: TestDatabase;
let database: Database;
let world: RunWorld;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 16, applicationName: "run races" });
  world = createRunWorld(database);
  await watchTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

type Plan = { readonly value?: number; readonly gives_up?: boolean; readonly failures?: number };

function step(key: string, more: Partial<Step> = {}, plan: Plan = {}): Step {
  const script = { value: 3, failures: 0, gives_up: false, elements_giving_up: [], ...plan };
  return { key, task: "test.step", input: { script, refs: [] }, retry: { max_attempts: 3, backoff_ms: 0 }, ...more };
}

async function claimAll(runId: string): Promise<ClaimedTask[]> {
  const ids = await world.queued(runId);
  const claimed: ClaimedTask[] = [];
  for (let first = 0; first < ids.length; first += 100) {
    claimed.push(...(await world.claim(ids.slice(first, first + 100), "first")));
  }
  return claimed;
}

async function playAll(tasks: readonly ClaimedTask[]): Promise<Ended[]> {
  return await Promise.all(tasks.map((task) => world.play(task)));
}

/** Moves the run on, one wave after the other, until nothing in it can move. */
async function finish(runId: string): Promise<void> {
  for (;;) {
    const claimed = await claimAll(runId);
    if (claimed.length === 0) return;
    await world.record(await playAll(claimed), null);
  }
}

async function openSteps(runId: string): Promise<string[]> {
  const rows = await world.steps(runId);
  return rows.filter((row) => ["blocked", "queued", "running"].includes(row.state)).map((row) => row.step_key);
}

async function expectOver(runId: string, states: readonly string[]): Promise<void> {
  expect(states).toContain(await world.state(runId));
  expect(await openSteps(runId)).toEqual([]);
  const [counts] = await ask<{ open_steps: number; told: number; there: number }>(
    database,
    `select r.open_steps, r.failed_steps + r.cancelled_steps + r.skipped_steps as told,
            (select count(*)::int from taskiq.task t where t.run_id = r.id and t.state in ('failed', 'cancelled', 'skipped')) as there
       from taskiq.run r where r.id = $1`,
    [runId],
  );
  expect(counts?.open_steps).toBe(0);
  expect(counts?.told).toBe(counts?.there);
  expect(await violations(database)).toEqual([]);
  await forgetMoves(database);
}

const shared: Graph = {
  steps: [
    ...Array.from({ length: PARENTS }, (_, index) => step(`p${index}`)),
    ...Array.from({ length: CHILDREN }, (_, index) =>
      step(`c${index}`, {
        after: [`p${index % PARENTS}`, `p${(index * 7 + 1) % PARENTS}`, `p${(index * 3 + 2) % PARENTS}`],
      }),
    ),
  ],
};

describe("forty parents over three hundred shared children", () => {
  it.each([
    ["that end at the same moment, each by itself", false],
    ["that end in one batch", true],
  ])(
    "%s ready every child once",
    async (_, together) => {
      for (let round = 0; round < ROUNDS; round++) {
        const runId = await world.start(shared);
        const ended = shuffled(await playAll(await claimAll(runId)), round);
        expect(ended).toHaveLength(PARENTS);
        const offer = world.offer("first", 3);
        if (together) await world.record(ended, offer);
        else await Promise.all(ended.map((one) => world.record([one], round % 2 === 0 ? offer : null)));
        const children = (await world.steps(runId)).filter((row) => row.step_key.startsWith("c"));
        expect(children.filter((row) => row.state === "blocked" || row.pending_parents !== 0)).toEqual([]);
        expect(children.filter((row) => row.attempt > 1)).toEqual([]);
        await database.query(
          {
            name: "drop-run",
            text: "delete from taskiq.outbox where task_id in (select id from taskiq.task where run_id = $1)",
          },
          [runId],
        );
      }
      expect(await violations(database)).toEqual([]);
      await forgetMoves(database);
    },
    240_000,
  );
});

describe("two ends that meet", () => {
  it("as the last two steps of a run, settle it", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const runId = await world.start({ steps: [step("a"), step("b")] });
      const ended = await playAll(await claimAll(runId));
      await Promise.all(ended.map((one) => world.record([one], null)));
      await expectOver(runId, ["succeeded"]);
    }
  });

  it("as one step that fails and one that succeeds over one child, decide it once", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const policy = (["skip", "cancel", "run"] as const)[round % 3] ?? "skip";
      const runId = await world.start({
        steps: [
          step("a", {}, { gives_up: true }),
          step("b"),
          step("c", { after: ["a", "b"], on_parent_failure: policy }),
        ],
      });
      const ended = await playAll(await claimAll(runId));
      await Promise.all(shuffled(ended, round).map((one) => world.record([one], null)));
      await finish(runId);
      const child = (await world.steps(runId)).find((row) => row.step_key === "c");
      expect(child?.state).toBe({ skip: "skipped", cancel: "cancelled", run: "succeeded" }[policy]);
      await expectOver(runId, ["failed"]);
    }
  });
});

describe("a cancel of the run that meets", () => {
  const races: Record<string, { readonly graph: Graph; readonly before?: number }> = {
    completions: {
      graph: { steps: [step("a"), step("b"), step("c", { after: ["a"] }), step("d", { after: ["b", "c"] })] },
    },
    "an expansion": {
      graph: { steps: [step("m", { map: [1, 2, 3], input: element() }), step("c", { after: ["m"] })] },
    },
    "the last element": {
      graph: { steps: [step("m", { map: [1, 2], input: element() }), step("c", { after: ["m"] })] },
      before: 1,
    },
    "a retry": { graph: { steps: [step("a", {}, { failures: 1 }), step("c", { after: ["a"] })] } },
    "a failure that skips over many levels": {
      graph: {
        steps: [
          step("a", {}, { gives_up: true }),
          ...Array.from({ length: 20 }, (_, index) =>
            step(`l${index}`, { after: [index === 0 ? "a" : `l${index - 1}`] }),
          ),
        ],
      },
    },
  };

  it.each(Object.entries(races))("%s leaves no step open and starts nothing more", async (_, { graph, before = 0 }) => {
    for (let round = 0; round < ROUNDS; round++) {
      const runId = await world.start(graph);
      for (let wave = 0; wave < before; wave++) await world.record(await playAll(await claimAll(runId)), null);
      const ended = await playAll(await claimAll(runId));
      const offer = round % 2 === 0 ? world.offer("first", 4) : null;
      const moves = [() => world.cancel(runId), ...ended.map((one) => () => world.record([one], offer))];
      await Promise.all(shuffled(moves, round).map((move) => move()));
      // Nothing that was claimed before the cancel is left, and what is running has the flag.
      const flagged = await ask<{ id: string }>(
        database,
        "select id from taskiq.task where run_id = $1 and state = 'running' and cancel_requested_at is null",
        [runId],
      );
      if ((await world.state(runId)) === "running") expect(flagged).toEqual([]);
      expect(await world.queued(runId)).toEqual([]);
      await endRunning(runId);
      await expectOver(runId, ["cancelled", "succeeded", "failed"]);
    }
  });
});

/** What a worker does with attempts whose cancel flag is set: it aborts them. */
async function endRunning(runId: string): Promise<void> {
  const rows = await ask<{ id: string; attempt: number }>(
    database,
    "select id, attempt from taskiq.task where run_id = $1 and state = 'running'",
    [runId],
  );
  for (const { id, attempt } of rows) await world.abort(runId, id, attempt);
}

function element(): unknown {
  const script = { value: 3, failures: 0, gives_up: false, elements_giving_up: [] };
  return { script, refs: [], item: { $item: "" }, index: { $index: true } };
}
