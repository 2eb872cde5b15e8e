/** Overviews over real sockets: that the numbers are those of the rows, who sees whose, and what many listeners cost. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createClient, type LiveEvent, type Overview } from "../../runtime/client/index.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { beat } from "../../runtime/worker/registry.ts";
import { createKey } from "../access/test-keys.ts";
import { ask, clearTasks, createTask, createTasks, type TaskColumns } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

/** A pause of three seconds lasts a fifth of one. */
const HURRY = 15;
const fast: Clock = { ...systemClock, after: (ms, signal) => systemClock.after(ms / HURRY, signal) };

let place: PlaceKept;
let api: TestApi;
let url: string;
/** Statements of the API in the order they were sent. */
let sent: string[] = [];
let isAway = false;
let leaves: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place, { parts: { clock: fast, access: { auth: "keys", environment: "test" } }, tap });
  url = await listen(api);
});
beforeEach(async () => {
  await clearTasks(api.database);
  sent = [];
});
afterEach(async () => {
  for (const leave of leaves) await leave();
  leaves = [];
  isAway = false;
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

function tap(database: Database): Database {
  return {
    ...database,
    query: (statement, params) => {
      sent.push(statement.name);
      if (isAway) return Promise.reject(Object.assign(new Error("away"), { code: "ECONNREFUSED" }));
      return database.query(statement, params);
    },
  };
}

async function listen(one: TestApi): Promise<string> {
  const { host, port } = await one.listen({ host: "127.0.0.1", port: 0 });
  return `http://${host}:${port}`;
}

async function keyOf(tenant: string): Promise<string> {
  return (await createKey(api.database, { tenant, scopes: ["read"] })).text;
}

/** An API of its own has seen nothing yet. */
async function overviewOf(apiKey: string): Promise<Overview> {
  const fresh = await openTestApi(place, { parts: { access: { auth: "keys", environment: "test" } } });
  try {
    return await createClient({ baseUrl: await listen(fresh), apiKey }).overview();
  } finally {
    await fresh.close();
  }
}

type Listening = { readonly events: LiveEvent[]; readonly ended: Promise<unknown>; leave(): void };

function follow(apiKey: string, baseUrl = url): Listening {
  const leaving = new AbortController();
  const events: LiveEvent[] = [];
  const read = async (): Promise<void> => {
    for await (const event of createClient({ baseUrl, apiKey }).live({ signal: leaving.signal })) events.push(event);
  };
  const ended = read().catch((error: unknown) => error);
  const leave = (): void => leaving.abort(new Error("left"));
  leaves.push(async () => {
    leave();
    await ended;
  });
  return { events, ended, leave };
}

const overviews = ({ events }: Listening): Overview[] =>
  events.flatMap((event) => (event.kind === "overview" ? [event.overview] : []));

/** Due, started and ended so many milliseconds ago. */
function ended(dueMsAgo: number, startedMsAgo: number, finishedMsAgo: number, more: TaskColumns = {}): TaskColumns {
  return {
    state: "succeeded",
    dueInMs: -dueMsAgo,
    createdMsAgo: dueMsAgo,
    startedMsAgo,
    finishedMsAgo,
    ...more,
  };
}

describe("GET /v1/overview", () => {
  test("counts what ended within a quarter of an hour, by intervals of ten seconds", async () => {
    await createTasks(api.database, [
      ended(61_000, 60_000, 58_000),
      ended(61_000, 60_000, 58_000),
      ended(301_000, 300_000, 299_000, { state: "failed" }),
      ended(301_000, 300_000, 299_000, { state: "cancelled" }),
      { state: "skipped", createdMsAgo: 200_000, startedMsAgo: null, finishedMsAgo: 200_000 },
      // Too long ago.
      ended(1_000_000, 999_000, 998_000),
      ended(61_000, 60_000, 58_000, { tenant: "theirs" }),
    ]);
    const { points, totals, intervalSeconds, at, tenant } = await overviewOf(await keyOf("default"));
    expect({ intervalSeconds, tenant, length: points.length }).toEqual({
      intervalSeconds: 10,
      tenant: "default",
      length: 90,
    });
    expect(totals).toMatchObject({ succeeded: 2, failed: 1, cancelled: 1, skipped: 1 });
    const times = points.map((point) => point.at.getTime());
    expect(times.slice(1).every((time, index) => time - (times[index] ?? 0) === 10_000)).toBe(true);
    const busy = points.filter(({ succeeded }) => succeeded > 0);
    expect(busy).toHaveLength(1);
    expect(busy[0]).toMatchObject({ succeeded: 2, failed: 0 });
    const ageMs = at.getTime() - (busy[0]?.at.getTime() ?? 0);
    expect(ageMs).toSatisfy((ms: number) => ms >= 57_000 && ms <= 69_000);
    const idle = points.filter(({ succeeded, failed, skipped }) => succeeded + failed + skipped === 0);
    expect(idle.length).toBeGreaterThanOrEqual(87);
    expect(idle[0]).toMatchObject({ cancelled: 0, waitP50Ms: null, waitP99Ms: null, runP50Ms: null });
  });

  test("tells how long tasks waited and ran", async () => {
    const rows = Array.from({ length: 100 }, (_, index) => ended(30_000 + (index + 1) * 10, 30_000, 29_000));
    await createTasks(api.database, rows);
    const { totals } = await overviewOf(await keyOf("default"));
    // Buckets are a fifth wide.
    expect(totals.waitP50Ms).toSatisfy((ms: number) => ms > 400 && ms < 600);
    expect(totals.waitP95Ms).toSatisfy((ms: number) => ms > 800 && ms < 1_150);
    expect(totals.runP50Ms).toSatisfy((ms: number) => ms > 850 && ms < 1_200);
    expect(totals.waitP99Ms ?? 0).toBeGreaterThanOrEqual(totals.waitP95Ms ?? 0);
  });

  test("counts tasks, runs, schedules and workers as they are now", async () => {
    await createTasks(api.database, [
      {},
      {},
      { state: "running" },
      { state: "blocked", pendingParents: 1 },
      { tenant: "theirs" },
    ]);
    await createRun("running", null);
    await createRun("failed", "now() - interval '10 minutes'");
    await createRun("succeeded", "now() - interval '2 hours'");
    for (const [name, set] of [
      ["a", ""],
      ["b", "paused_at = now()"],
      ["c", `disabled_at = now(), problem = '{"code":"unknown_task","message":"gone"}'`],
    ]) {
      await ask(
        api.database,
        `insert into taskiq.schedule (id, name, task, interval_ms, anchor_at, next_at) values (gen_random_uuid(), $1, 'echo', 60000, now(), now())`,
        [name],
      );
      if (set !== "") await ask(api.database, `update taskiq.schedule set ${set} where name = $1`, [name]);
    }
    const worker = { version: "1", queues: ["default"], slots: 10, running: 2, revision: null };
    await beat(api.database, { ...worker, name: "a", draining: false });
    await beat(api.database, { ...worker, name: "b", draining: true });
    await beat(api.database, { ...worker, name: "c", draining: false });
    await ask(api.database, "update taskiq.worker set beat_at = now() - interval '10 minutes' where name = 'c'");
    const overview = await overviewOf(await keyOf("default"));
    await ask(api.database, "delete from taskiq.worker; delete from taskiq.schedule; delete from taskiq.run");
    expect(overview.tasks).toEqual({ blocked: 1, queued: 2, running: 1 });
    expect(overview.runs).toEqual({ running: 1, succeeded: 0, failed: 1, cancelled: 0 });
    expect(overview.schedules).toEqual({ active: 1, paused: 1, disabled: 1 });
    expect(overview.workers).toEqual({ alive: 1, draining: 1, lost: 1, slots: 20, running: 4 });
  });

  test("tells how fast each queue is worked off, whoever's tasks they are", async () => {
    await createTasks(
      api.database,
      Array.from({ length: 120 }, (_, index) =>
        ended(32_000, 31_000, 30_000, { tenant: index % 2 === 0 ? "theirs" : "default" }),
      ),
    );
    const { queues } = await overviewOf(await keyOf("default"));
    expect(queues).toMatchObject([{ name: "default", ratePerSecond: 2, type: "standard", pausedAt: null }]);
  });

  test("tells the ten most frequent reasons for failures, with the last task of each", async () => {
    const failure = (code: string, message: string) => ({
      state: "failed" as const,
      error: { type: "E", code, message },
    });
    await createTasks(api.database, [
      ended(9_000, 8_000, 7_000, { ...failure("timeout", "older"), name: "slow" }),
      ...Array.from({ length: 11 }, (_, index) => ended(9_000, 8_000, 7_000, failure(`code_${index}`, "once"))),
      // Too long ago.
      ended(9_000_000, 8_000_000, 7_000_000, failure("handler_error", "old")),
      ended(9_000, 8_000, 7_000, { ...failure("timeout", "theirs"), tenant: "theirs" }),
    ]);
    const last = await createTask(
      api.database,
      ended(9_000, 8_000, 3_000, { ...failure("timeout", "newest"), name: "slow" }),
    );
    const { failures } = await overviewOf(await keyOf("default"));
    expect(failures).toHaveLength(10);
    expect(failures[0]).toEqual({
      task: "slow",
      queue: "default",
      code: "timeout",
      message: "newest",
      count: 2,
      lastAt: expect.any(Date),
      lastTaskId: last,
    });
  });

  test("shows no tenant what is another's", async () => {
    await createTasks(api.database, [
      ended(9_000, 8_000, 7_000, { tenant: "theirs", state: "failed" }),
      { tenant: "theirs" },
      { tenant: "theirs", state: "running" },
    ]);
    const ours = await overviewOf(await keyOf("ours"));
    expect(ours.totals).toMatchObject({ succeeded: 0, failed: 0 });
    expect(ours).toMatchObject({ tenant: "ours", tasks: { blocked: 0, queued: 0, running: 0 }, failures: [] });
    const theirs = await overviewOf(await keyOf("theirs"));
    expect(theirs).toMatchObject({ tenant: "theirs", tasks: { queued: 1, running: 1 }, totals: { failed: 1 } });
    expect(theirs.failures).toHaveLength(1);
  });

  test("answers all who ask within a second from one look", async () => {
    const apiKey = await keyOf("default");
    const client = createClient({ baseUrl: url, apiKey });
    await Promise.all(Array.from({ length: 20 }, () => client.overview()));
    expect(sent.filter((name) => name === "read-overview")).toHaveLength(1);
  });
});

describe("GET /v1/live", () => {
  test("tells at once how it is, and then what has changed", async () => {
    const listening = follow(await keyOf("default"));
    await until(() => overviews(listening).length === 1);
    expect(overviews(listening)[0]?.tasks.queued).toBe(0);
    await createTasks(api.database, [{}, ended(9_000, 8_000, 7_000)]);
    await until(() => overviews(listening).at(-1)?.tasks.queued === 1);
    await createTask(api.database, ended(100, 80, 20));
    await until(() => (overviews(listening).at(-1)?.totals.succeeded ?? 0) > 0);
  });

  test("one look serves a hundred listeners of two tenants, each with its own view", async () => {
    await createTasks(api.database, [{}, { tenant: "theirs" }, { tenant: "theirs" }]);
    const [ours, theirs] = [await keyOf("default"), await keyOf("theirs")];
    const all = Array.from({ length: 100 }, (_, index) => follow(index % 2 === 0 ? ours : theirs));
    await until(() => all.every((one) => overviews(one).length >= 3), { deadlineMs: 25_000 });
    const looks = sent.filter((name) => name === "read-overview").length;
    const most = Math.max(...all.map(({ events }) => events.length));
    // Those who came in the middle of one were waited for by the next.
    expect(looks).toBeLessThanOrEqual(most + 3);
    expect(sent.filter((name) => name === "read-completions").length).toBe(looks);
    for (const [index, one] of all.entries()) {
      expect(overviews(one).at(-1)?.tasks.queued).toBe(index % 2 === 0 ? 1 : 2);
    }
  });

  test("nothing is looked at when nobody listens any more", async () => {
    const listening = follow(await keyOf("default"));
    await until(() => overviews(listening).length >= 2);
    listening.leave();
    await listening.ended;
    // The look that was under way is over when the number stays.
    let before = -1;
    await until(async () => {
      const same = before === sent.length;
      before = sent.length;
      await systemClock.after(150);
      return same && before === sent.length;
    });
  });

  test("an outage of the database ends no stream: it is told, and so is its end", async () => {
    const listening = follow(await keyOf("default"));
    await until(() => overviews(listening).length >= 1);
    isAway = true;
    await until(() => listening.events.at(-1)?.kind === "away");
    const told = listening.events.length;
    const looks = sent.length;
    await until(() => sent.length >= looks + 3);
    // Once, however long it takes.
    expect(listening.events.length).toBe(told);
    isAway = false;
    await until(() => listening.events.at(-1)?.kind === "overview");
  });

  test("a shutdown ends every stream, and lets nobody in", async () => {
    const other = await openTestApi(place, { parts: { access: { auth: "keys", environment: "test" } } });
    const base = await listen(other);
    const apiKey = await keyOf("default");
    const headers = { authorization: `Bearer ${apiKey}` };
    const response = await fetch(`${base}/v1/live`, { headers });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    other.drain();
    expect(await response.text()).toMatch(/^retry: 1000\n\n/);
    expect(await other.get("/v1/live", headers)).toMatchObject({ status: 503, body: { code: "draining" } });
    await other.close();
  });
});

async function createRun(state: string, finishedAt: string | null): Promise<void> {
  await ask(
    api.database,
    `insert into taskiq.run (id, job, mode, state, graph, steps, open_steps, root_run_id, finished_at${state === "failed" ? ", error" : ""})
     select id, 'etl', 'orchestrated', '${state}', '{}', 1, ${finishedAt === null ? 1 : 0}, id, ${finishedAt}${state === "failed" ? `, '{"type":"E","message":"no"}'` : ""}
       from (select gen_random_uuid() as id) new`,
  );
}
