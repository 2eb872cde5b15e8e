/**
 * What open dashboards cost the database: fifty of them, which do what the pages do, on a system that works. Statements are counted between the API
 * and its database.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Client, createClient } from "../../runtime/client/index.ts";
import { pause } from "../../runtime/client/pause.ts";
import { systemClock } from "../../runtime/clock.ts";
import { createKey } from "../access/test-keys.ts";
import { clearRuns, createRun, stepId } from "../support/runs.ts";
import { ask, clearTasks, createTask, createTasks } from "../support/tasks.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const MOST_PER_SECOND = 5;
/** Until every page has come up. */
const SETTLE_MS = 5_000;
const MEASURED_MS = 25_000;
/** As the pages have it. */
const LIST_MS = 5_000;
const RUN_MS = 60_000;
const REFRESH_MS = 1_000;
const WORK_MS = 500;

let place: PlaceKept;
let api: TestApi;
let sent: string[] = [];
const left = new AbortController();
const open: Promise<void>[] = [];

beforeAll(async () => {
  place = await createPlace();
  const access = { auth: "keys", environment: "test" } as const;
  api = await openTestApi(place, {
    parts: { access },
    tap: (database) => ({
      ...database,
      query: (statement, params) => {
        sent.push(statement.name);
        return database.query(statement, params);
      },
    }),
  });
});
afterAll(async () => {
  left.abort();
  await Promise.all(open);
  await clearRuns(api.database);
  await clearTasks(api.database);
  await api?.close();
  await place?.drop();
});

/** A page that is open until the end. */
function show(page: () => Promise<void>): void {
  open.push(
    page().catch((error: unknown) => {
      if (!left.signal.aborted) throw error;
    }),
  );
}

/** Pages are not opened at one moment, and so do not ask at one. */
async function repeat(everyMs: number, look: () => Promise<unknown>): Promise<void> {
  await pause(Math.random() * everyMs, left.signal, systemClock);
  while (!left.signal.aborted) {
    await look();
    await pause(everyMs, left.signal, systemClock);
  }
}

async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

function openPages(client: Client, polling: Client, tasks: readonly string[], runs: readonly string[]): void {
  const { signal } = left;
  const following = { signal, refreshMs: REFRESH_MS };
  for (let index = 0; index < 30; index++) show(() => drain(client.live({ signal })));
  for (let index = 0; index < 10; index++) show(() => repeat(LIST_MS, () => polling.tasks.list({}, { limit: 50 })));
  for (const id of tasks) {
    show(async () => {
      await client.get(id);
      for await (const event of client.tasks.events(id, following)) if (event.kind !== "progress") await client.get(id);
    });
  }
  for (const id of runs) {
    show(async () => {
      await Promise.all([client.runs.get(id, { steps: 0 }), client.runs.graph(id)]);
      await drain(client.runs.watch(id, following));
    });
    show(() => repeat(RUN_MS, () => polling.runs.get(id, { steps: 0 })));
  }
}

test("fifty open dashboards cost at most five statements a second", { timeout: 90_000 }, async () => {
  const tasks = await createTasks(
    api.database,
    Array.from({ length: 5 }, () => ({ state: "running" as const, attempt: 1, progress: 0 })),
  );
  const steps = Array.from({ length: 10 }, (_, index) => ({ key: `step-${index}`, task: "echo" }));
  const runs = await Promise.all(
    Array.from({ length: 5 }, (_, index) =>
      // One has a step that is tried again: its attempts are looked at, too.
      createRun(api.database, { steps }, { "step-0": { state: "running", attempt: index === 0 ? 2 : 1, progress: 0 } }),
    ),
  );
  const { text: apiKey } = await createKey(api.database, { scopes: ["read"] });
  const { port } = await api.listen({ host: "127.0.0.1", port: 0 });
  const baseUrl = `http://127.0.0.1:${port}`;
  openPages(createClient({ baseUrl, apiKey }), createClient({ baseUrl, apiKey, sharedLooks: true }), tasks, runs);

  // Something happens all the time: what is watched goes on, and other tasks end.
  let done = 0;
  show(() =>
    repeat(WORK_MS, async () => {
      done++;
      const ids = [...tasks, ...runs.map((id) => stepId(id, "step-0"))];
      await ask(api.database, "update taskiq.task set progress = $2 where id = any($1)", [ids, (done % 100) / 100]);
      const state = done % 5 === 0 ? "failed" : "succeeded";
      await createTask(api.database, { state, startedMsAgo: 300, createdMsAgo: 400, dueInMs: -400, finishedMsAgo: 0 });
    }),
  );

  await systemClock.after(SETTLE_MS);
  sent = [];
  await systemClock.after(MEASURED_MS);
  const measured = sent;
  const perSecond = measured.length / (MEASURED_MS / 1_000);
  const byName = Object.entries(Object.groupBy(measured, (name) => name)).map(([name, all]) => [name, all?.length]);
  console.log(`${perSecond.toFixed(2)} statements a second`, Object.fromEntries(byName));
  // Every kind of page was open, or this would measure nothing.
  for (const name of ["read-overview", "read-completions", "list-by-time", "read-watched", "read-run-pulse"]) {
    expect(measured.filter((one) => one === name).length, name).toBeGreaterThan(3);
  }
  expect(perSecond).toBeLessThanOrEqual(MOST_PER_SECOND);
});
