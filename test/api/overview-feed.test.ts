import { afterAll, beforeAll, expect, test } from "vitest";
import { createOverviewFeed, MAX_OVERVIEW_LISTENERS, type OverviewFeed } from "../../runtime/api/overview-feed.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const HURRY = 200;
const fast: Clock = {
  ...systemClock,
  nowMs: () => systemClock.nowMs() * HURRY,
  after: (ms, signal) => systemClock.after(ms / HURRY, signal),
};
const WAIT_MS = 60_000 * HURRY;

let testDatabase: TestDatabase;
let database: Database;
let looks = 0;
/** Statements of this name fail. */
let failing: string | undefined;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "overview test" });
});
afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

function openFeed(): OverviewFeed {
  looks = 0;
  return createOverviewFeed({
    database: {
      query: (statement, params) => {
        if (statement.name === failing) return Promise.reject(new Error("away"));
        if (statement.name === "read-overview") looks++;
        return database.query(statement, params);
      },
    },
    queueNames: [],
    queueStats: { read: () => Promise.resolve([]) },
    workerAliveMs: 30_000,
    clock: fast,
  });
}

const never = new AbortController().signal;

test("a listener that comes back late gets the latest overview alone: none is kept for it", async () => {
  const feed = openFeed();
  const [slow, steady] = [feed.listen("default"), feed.listen("default")];
  const first = await slow.next(WAIT_MS, never);
  await until(() => looks >= 10);
  const late = await slow.next(WAIT_MS, never);
  expect(late).not.toBe(first);
  // The very text that the others get.
  expect(await steady.next(WAIT_MS, never)).toBe(late);
  feed.stop();
  expect(await slow.next(WAIT_MS, never)).toBeUndefined();
});

test("where a look back takes too long the history starts shorter", async () => {
  const asked: unknown[] = [];
  const feed = createOverviewFeed({
    database: {
      query: (statement, params) => {
        if (statement.name === "read-completions") {
          asked.push(params[1]);
          if (Number(params[1]) > 200_000 && params[0] === null) return Promise.reject(new Error("statement timeout"));
        }
        return database.query(statement, params);
      },
    },
    queueNames: [],
    queueStats: { read: () => Promise.resolve([]) },
    workerAliveMs: 30_000,
    clock: fast,
  });
  const listener = feed.listen("default");
  expect(await listener.next(WAIT_MS, never)).toBe("away");
  expect(await listener.next(WAIT_MS, never)).toMatchObject({ text: expect.stringContaining('"tenant":"default"') });
  expect(asked.slice(0, 2)).toEqual([900_000, 180_000]);
  feed.stop();
});

test("failures that came to light in a look that failed are told by the next", async () => {
  const feed = openFeed();
  const listener = feed.listen("default");
  await listener.next(WAIT_MS, never);
  await database.transaction((tx) =>
    tx.raw.query(
      `insert into taskiq.task (id, name, queue, state, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, error, finished_at, announced_at)
       values (gen_random_uuid(), 'odd', 'default', 'failed', 1, 1, 1, 1, 1, '{"type":"E","code":"timeout","message":"no"}', clock_timestamp(), now())`,
    ),
  );
  failing = "read-recent-failures";
  await until(async () => (await listener.next(WAIT_MS, never)) === "away");
  failing = undefined;
  await until(async () => {
    const news = await listener.next(WAIT_MS, never);
    return typeof news === "object" && JSON.parse(news.text).failures.length === 1;
  });
  feed.stop();
});

test("one listener too many is refused, and leaving makes room", () => {
  const feed = openFeed();
  const all = Array.from({ length: MAX_OVERVIEW_LISTENERS }, () => feed.listen("default"));
  expect(() => feed.listen("default")).toThrow(/at most 1000 listeners/);
  all[0]?.leave();
  feed.listen("default").leave();
  feed.stop();
});
