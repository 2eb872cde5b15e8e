/** Events of runs over real sockets: what is told, in which order, what a resume tells again, and how a stream ends. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { isEndOfRun, timeOfEvent } from "../../runtime/api/run-events.ts";
import { LATE_US, MAX_RUN_LISTENERS } from "../../runtime/api/run-watcher.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { Graph } from "../../runtime/model/graph.ts";
import { clearRuns, createRun, stepId } from "../support/runs.ts";
import { ask, clearTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi, type TestApiOptions } from "./test-api.ts";

type Event = { readonly id: string | null; readonly event: string; readonly data: Record<string, unknown> };
type Stream = {
  readonly status: number;
  /** Those that have come so far. */
  readonly events: Event[];
  readonly text: () => string;
  readonly ended: Promise<void>;
  leave(): void;
};

const TWO: Graph = {
  steps: [
    { key: "a", task: "echo" },
    { key: "b", task: "echo", after: ["a"] },
  ],
};

let place: PlaceKept;
let api: TestApi;
let url: string;
let streams: Stream[] = [];

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place);
  url = await listen(api);
});
beforeEach(async () => {
  await clearTasks(api.database);
  await clearRuns(api.database);
});
afterEach(async () => {
  for (const stream of streams) stream.leave();
  await Promise.all(streams.map(({ ended }) => ended));
  streams = [];
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

async function listen(one: TestApi): Promise<string> {
  const { host, port } = await one.listen({ host: "127.0.0.1", port: 0 });
  return `http://${host}:${port}`;
}

async function follow(id: string, lastEventId?: string, base = url): Promise<Stream> {
  const leaving = new AbortController();
  const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
  const response = await fetch(`${base}/v1/runs/${id}/events`, { headers, signal: leaving.signal });
  const events: Event[] = [];
  let text = "";
  const read = async (): Promise<void> => {
    let rest = "";
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      const blocks = `${rest}${chunk}`.split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const match = /^(?:id: (.*)\n)?event: (.*)\ndata: (.*)$/.exec(block);
        if (match !== null)
          events.push({ id: match[1] ?? null, event: match[2] ?? "", data: JSON.parse(match[3] ?? "") });
      }
    }
  };
  const ended = read().catch(() => {});
  const stream = { status: response.status, events, text: () => text, ended, leave: () => leaving.abort() };
  streams.push(stream);
  return stream;
}

const update = (taskId: string, set: string) =>
  ask(api.database, `update taskiq.task set ${set} where id = $1`, [taskId]);
const updateRun = (id: string, set: string) => ask(api.database, `update taskiq.run set ${set} where id = $1`, [id]);
const START =
  "state = 'running', attempt = attempt + 1, worker = 'w', lease_until = now(), started_at = clock_timestamp()";
const SUCCEED = "state = 'succeeded', lease_until = null, finished_at = clock_timestamp()";
const FAIL = `state = 'failed', lease_until = null, finished_at = now(), error = '{"code":"handler_error","type":"E","message":"no","stack":"s"}'`;
const RETRY = "state = 'queued', lease_until = null, failures = failures + 1, announced_at = now()";
const QUEUE = "state = 'queued', pending_parents = 0, announced_at = now()";
const END_RUN = "state = 'succeeded', open_steps = 0, finished_at = clock_timestamp()";

/** Ends the attempt that is in the row, and logs it, in one statement as the product does: at one time. */
const end = (taskId: string, set: string, outcome: string) =>
  ask(
    api.database,
    `with ended as (update taskiq.task set ${set} where id = $1 returning id, attempt, worker, started_at)
     insert into taskiq.attempt (task_id, attempt, outcome, worker, error, started_at)
     select id, attempt, $2, worker, '{"code":"handler_error","type":"E","message":"no","stack":"s"}', started_at from ended`,
    [taskId, outcome],
  );

const isStep = ({ event }: Event) => event === "step";
const told = ({ events }: Stream) =>
  events
    .filter(isStep)
    .map(({ data }) => `${data.key} ${data.attempt} ${data.change}${data.change === "end" ? ` ${data.state}` : ""}`);
const ids = ({ events }: Stream) => events.flatMap(({ id }) => id ?? []);

describe("GET /v1/runs/{id}/events", () => {
  test("tells every start, failed attempt and end, and ends with the run", async () => {
    const id = await createRun(api.database, TWO, { b: { state: "blocked" } });
    const [a, b] = [stepId(id, "a"), stepId(id, "b")];
    const stream = await follow(id);
    await until(() => stream.events.length === 1);
    await update(a, START);
    await until(() => told(stream).length === 1);
    await update(a, "progress = 0.4, progress_message = 'half'");
    await until(() => stream.events.some(({ event }) => event === "progress"));
    await end(a, RETRY, "retried");
    await until(() => told(stream).length === 2);
    await update(a, START);
    await update(a, SUCCEED);
    await update(b, QUEUE);
    await until(() => told(stream).length === 4);
    await update(b, START);
    await end(b, FAIL, "failed");
    await updateRun(id, "state = 'failed', open_steps = 0, failed_steps = 1, finished_at = clock_timestamp()");
    await stream.ended;
    expect(told(stream)).toEqual([
      "a 1 start",
      "a 1 attempt",
      "a 2 start",
      "a 2 end succeeded",
      "b 1 start",
      "b 1 end failed",
    ]);
    const steps = stream.events.filter(isStep).map(({ data }) => data);
    expect(steps[0]).toMatchObject({ task_id: a, task: "echo", state: "running", error: null });
    expect(steps[1]).toMatchObject({
      state: "queued",
      outcome: "retried",
      error: { code: "handler_error", message: "no" },
    });
    expect(steps[5]?.error).toEqual({ code: "handler_error", type: "E", message: "no" });
    expect(stream.events.find(({ event }) => event === "progress")).toEqual({
      id: null,
      event: "progress",
      data: { key: "a", task_id: a, attempt: 1, progress: 0.4, message: "half", elements: null },
    });
    const runs = stream.events.filter(({ event }) => event === "run");
    expect(runs[0]).toMatchObject({ id: null, data: { state: "running", counts: { queued: 1, blocked: 1 } } });
    expect(stream.events.at(-1)).toMatchObject({
      id: expect.stringMatching(/^\d{16}\.run$/),
      event: "run",
      data: { state: "failed", counts: { succeeded: 1, failed: 1, queued: 0 } },
    });
    expect(new Set(ids(stream)).size).toBe(ids(stream).length);
  });

  test("tells a run that is over whole, in the order of time, under the same ids to everybody", async () => {
    const ends = {
      b: { state: "skipped", finishedMsAgo: 100 },
      a: { state: "failed", startedMsAgo: 5_000, finishedMsAgo: 100 },
    } as const;
    const id = await createRun(api.database, TWO, ends, { state: "failed" });
    const [first, second] = [await follow(id), await follow(id)];
    await Promise.all([first.ended, second.ended]);
    expect(told(first).toSorted()).toEqual(["a 1 end failed", "a 1 start", "b 0 end skipped"]);
    expect(told(first)[0]).toBe("a 1 start");
    expect(ids(first)).toEqual(ids(second));
    expect(ids(first).map((one) => timeOfEvent(one))).toEqual(
      ids(first)
        .map((one) => timeOfEvent(one))
        .toSorted(),
    );
    const again = await follow(id, ids(first).at(-1));
    expect(again.status).toBe(204);
  });

  test("goes on 10 s before the event that came last, and tells the rest", async () => {
    const steps = Array.from({ length: 30 }, (_, at) => ({ key: `s${at}`, task: "echo" }));
    const rows = Object.fromEntries(
      steps.map(({ key }, at) => [
        key,
        { state: "succeeded" as const, startedMsAgo: 60_500 - at * 2_000, finishedMsAgo: 60_000 - at * 2_000 },
      ]),
    );
    const id = await createRun(api.database, { steps }, rows, { state: "succeeded" });
    const all = await follow(id);
    await all.ended;
    for (const at of [0, 1, 20, 41, 59]) {
      const lastId = ids(all)[at] ?? "";
      const again = await follow(id, lastId);
      await again.ended;
      const fromUs = (timeOfEvent(lastId) ?? 0) - LATE_US;
      expect(ids(again), lastId).toEqual(ids(all).filter((one) => one !== lastId && (timeOfEvent(one) ?? 0) >= fromUs));
    }
  });

  test("what becomes visible late is told late, not never", async () => {
    const id = await createRun(api.database, TWO, { b: { state: "blocked" } });
    const stream = await follow(id);
    await until(() => stream.events.length === 1);
    await update(stepId(id, "a"), START);
    await until(() => told(stream).length === 1);
    // As an attempt whose transaction began 6 s ago and is committed now.
    await update(stepId(id, "b"), `${QUEUE}, created_at = now()`);
    await update(stepId(id, "b"), `${START.replace("clock_timestamp()", "clock_timestamp() - interval '6 seconds'")}`);
    await until(() => told(stream).length === 2);
    expect(told(stream)).toEqual(["a 1 start", "b 1 start"]);
    const [last = "", late = ""] = ids(stream);
    expect(timeOfEvent(late)).toBeLessThan(timeOfEvent(last) ?? 0);
    // Whoever was away at that moment hears of it as well.
    const again = await follow(id, last);
    await until(() => told(again).length === 1);
    expect(ids(again)).toEqual([late]);
  });

  test("tells elements as steps of their own, and how many there are", async () => {
    const graph: Graph = { steps: [{ key: "m", task: "echo", map: [1, 2] }] };
    const id = await createRun(api.database, graph, {
      m: { state: "blocked", attempt: 1, startedMsAgo: 50, elements: [{ state: "succeeded" }, { state: "running" }] },
    });
    const stream = await follow(id);
    await until(() => stream.events.some(({ event }) => event === "progress"));
    expect(told(stream).toSorted()).toEqual(["m 1 start", "m[0] 1 end succeeded", "m[0] 1 start", "m[1] 1 start"]);
    expect(stream.events.find(({ event }) => event === "progress")?.data).toMatchObject({ key: "m", elements: 2 });
  });

  test("tells a simple run as one step, then the steps of its record", async () => {
    const at = (ms: number) => new Date(1_700_000_000_000 + ms).toISOString();
    const step = (state: string, from: number, to: number) => ({
      state,
      attempts: 1,
      started_at: at(from),
      finished_at: at(to),
    });
    const record = { state: "succeeded", steps: { b: step("failed", 20, 30), a: step("succeeded", 0, 10) }, result: 1 };
    const id = await createRun(api.database, TWO, { "*": { state: "running", startedMsAgo: 10 } }, { mode: "simple" });
    const stream = await follow(id);
    await until(() => told(stream).length === 1);
    await update(stepId(id, "*"), `${SUCCEED}, result = '${JSON.stringify(record)}'`);
    await updateRun(id, END_RUN);
    await stream.ended;
    expect(told(stream)).toEqual([
      "* 1 start",
      "a 1 start",
      "a 1 end succeeded",
      "b 1 start",
      "b 1 end failed",
      "* 1 end succeeded",
    ]);
    expect(stream.events.at(-1)?.data).toMatchObject({ counts: { succeeded: 1, failed: 1 } });
    const whole = await follow(id);
    await whole.ended;
    expect(ids(whole).toSorted()).toEqual(ids(stream).toSorted());
  });

  test("a record that cannot be read holds nobody else up", async () => {
    const lost = {
      state: "succeeded",
      result: null,
      resultRef: `v1/2026-01-01/${stepId("0198f3c0-0000-7000-8000-000000000000", "x")}/${"0".repeat(64)}`,
    } as const;
    const broken = await createRun(api.database, TWO, { "*": lost }, { mode: "simple", state: "running" });
    const fine = await createRun(api.database, TWO);
    const [first, second] = [await follow(broken), await follow(fine)];
    await until(() => first.events.length > 0 && second.events.length > 0);
    await updateRun(broken, END_RUN);
    await first.ended;
    expect(isEndOfRun(ids(first).at(-1))).toBe(true);
    await updateRun(fine, END_RUN);
    await second.ended;
    expect(isEndOfRun(ids(second).at(-1))).toBe(true);
  });

  test("an id that is none of ours tells everything", async () => {
    const id = await createRun(api.database, TWO, {}, { state: "succeeded" });
    for (const lastId of ["", "17", "1.a:1", "x".repeat(200), "1700000000000000.a:1:began"]) {
      const stream = await follow(id, lastId);
      await stream.ended;
      expect(told(stream), lastId).toHaveLength(4);
    }
    expect((await follow(id, "x".repeat(201))).status).toBe(422);
  });

  test("ends when the run is deleted", async () => {
    const id = await createRun(api.database, TWO);
    const stream = await follow(id);
    await until(() => stream.events.length >= 1);
    await clearTasks(api.database);
    await clearRuns(api.database);
    await stream.ended;
  });
});

/** One with an API of its own, whose looks are counted. */
async function own(options: TestApiOptions = {}) {
  const looks: string[][] = [];
  const other = await openTestApi(place, {
    ...options,
    parts: {
      ...options.parts,
      database: {
        ...api.database,
        query: (statement, params) => {
          if (statement.name === "read-run-pulse") looks.push(params[0] as string[]);
          return api.database.query(statement, params);
        },
      },
    },
  });
  return { other, base: await listen(other), looks };
}

test("looks once for all listeners, and not at all when the last has left", async () => {
  const { other, base, looks } = await own();
  const runs = [await createRun(api.database, TWO), await createRun(api.database, TWO)];
  const all = await Promise.all(runs.flatMap((id) => [1, 2, 3].map(() => follow(id, undefined, base))));
  await until(() => all.every(({ events }) => events.length >= 1));
  looks.length = 0;
  await until(() => looks.length >= 2);
  expect(looks[1]?.toSorted()).toEqual(runs.toSorted());
  for (const { leave } of all) leave();
  await Promise.all(all.map(({ ended }) => ended));
  // The last that was asked for has nobody left; a new listener is alone.
  const alone = await follow(runs[0] ?? "", undefined, base);
  await until(() => looks.at(-1)?.length === 1 && looks.at(-2)?.length === 1);
  alone.leave();
  await alone.ended;
  await other.close();
});

test("tells each event once to each listener, also to those who come in the middle", async () => {
  const steps = Array.from({ length: 40 }, (_, at) => ({ key: `s${at}`, task: "echo" }));
  const id = await createRun(api.database, { steps });
  const all: Stream[] = [];
  for (const [at, { key }] of steps.entries()) {
    if (at % 10 === 0) all.push(await follow(id));
    await update(stepId(id, key), START);
    await update(stepId(id, key), SUCCEED);
  }
  await updateRun(id, END_RUN);
  await Promise.all(all.map(({ ended }) => ended));
  for (const stream of all) {
    expect(told(stream)).toHaveLength(80);
    expect(new Set(ids(stream)).size).toBe(81);
    expect(isEndOfRun(ids(stream).at(-1))).toBe(true);
  }
});

test("says something every 15 s while nothing happens", async () => {
  const clock: Clock = { ...systemClock, after: (ms, signal) => systemClock.after(ms === 15_000 ? 20 : ms, signal) };
  const { other, base } = await own({ parts: { clock } });
  const stream = await follow(await createRun(api.database, TWO), undefined, base);
  await until(() => (stream.text().match(/^:$/gm) ?? []).length >= 3);
  stream.leave();
  await stream.ended;
  await other.close();
});

test("a shutdown ends the streams, and takes no new ones", async () => {
  const { other, base } = await own();
  const id = await createRun(api.database, TWO);
  const stream = await follow(id, undefined, base);
  await until(() => stream.events.length >= 1);
  other.drain();
  await stream.ended;
  expect(stream.text()).toContain("retry: 1000");
  expect((await other.get(`/v1/runs/${id}/events`)).status).toBe(503);
  await other.close();
});

test("refuses listeners above the bound, and takes some again when others leave", async () => {
  const { other, base } = await own();
  const id = await createRun(api.database, TWO);
  const all: Stream[] = [];
  for (let at = 0; at < MAX_RUN_LISTENERS; at += 100) {
    all.push(...(await Promise.all(Array.from({ length: 100 }, () => follow(id, undefined, base)))));
  }
  expect((await follow(id, undefined, base)).status).toBe(503);
  all[0]?.leave();
  await until(async () => (await follow(id, undefined, base)).status === 200);
  for (const { leave } of streams) leave();
  await other.close();
});

test("an outage of the database is no event", async () => {
  let away = false;
  let failed = 0;
  const other = await openTestApi(place, {
    parts: {
      database: {
        ...api.database,
        query: async (statement, params) => {
          if (away && statement.name === "read-run-pulse") {
            failed++;
            throw new Error("Connection terminated unexpectedly");
          }
          return await api.database.query(statement, params);
        },
      },
    },
  });
  const id = await createRun(api.database, TWO, { a: { state: "running" }, b: { state: "blocked" } });
  const stream = await follow(id, undefined, await listen(other));
  await until(() => told(stream).length === 1);
  away = true;
  await until(() => failed > 0);
  await update(stepId(id, "a"), SUCCEED);
  away = false;
  await until(() => told(stream).length === 2);
  await updateRun(id, "state = 'cancelled', open_steps = 0, finished_at = now()");
  await stream.ended;
  expect(told(stream)).toEqual(["a 1 start", "a 1 end succeeded"]);
  await other.close();
});
