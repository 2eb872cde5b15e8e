/** Events over real sockets: what is told, what is not told twice, and how a stream ends. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventsBetween, toldBy } from "../../runtime/api/task-events.ts";
import { MAX_LISTENERS } from "../../runtime/api/watcher.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { ask, clearTasks, createTask, createTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi, type TestApiOptions } from "./test-api.ts";

type Event = { readonly id: string; readonly event: string; readonly data: Record<string, unknown> };
type Stream = {
  readonly status: number;
  readonly type: string | null;
  /** Those that have come so far. */
  readonly events: Event[];
  readonly text: () => string;
  readonly ended: Promise<void>;
  leave(): void;
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
beforeEach(() => clearTasks(api.database));
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
  const response = await fetch(`${base}/v1/tasks/${id}/events`, { headers, signal: leaving.signal });
  const events: Event[] = [];
  let text = "";
  const read = async (): Promise<void> => {
    let rest = "";
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      const blocks = `${rest}${chunk}`.split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const match = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(block);
        if (match !== null)
          events.push({ id: match[1] ?? "", event: match[2] ?? "", data: JSON.parse(match[3] ?? "") });
      }
    }
  };
  const ended = read().catch(() => {});
  const type = response.headers.get("content-type");
  const stream = { status: response.status, type, events, text: () => text, ended, leave: () => leaving.abort() };
  streams.push(stream);
  return stream;
}

const update = (id: string, set: string, database: Database = api.database) =>
  ask(database, `update taskiq.task set ${set} where id = $1`, [id]);
const START =
  "state = 'running', attempt = attempt + 1, worker = 'w', lease_until = now(), progress = null, progress_message = null";
const SUCCEED = "state = 'succeeded', lease_until = null, finished_at = now()";
const FAIL = "state = 'queued', lease_until = null, failures = failures + 1";
const names = ({ events }: Stream) =>
  events.map(({ event, data }) => `${event} ${data.state ?? data.progress ?? data.outcome}`);
const logFailure = (id: string, attempt: number) =>
  ask(
    api.database,
    `insert into taskiq.attempt (task_id, attempt, outcome, worker, error) values ($1, $2, 'retried', 'w', '{"code":"handler_error","type":"E","message":"no","stack":"s"}')`,
    [id, attempt],
  );

describe("GET /v1/tasks/{id}/events", () => {
  test("tells a task from how it is to its end, and ends", async () => {
    const id = await createTask(api.database);
    const stream = await follow(id);
    expect(stream).toMatchObject({ status: 200, type: "text/event-stream; charset=utf-8" });
    await until(() => names(stream).length === 1);
    await update(id, START);
    await until(() => names(stream).length === 2);
    await update(id, "progress = 0.4, progress_message = 'half'");
    await until(() => names(stream).length === 3);
    await logFailure(id, 1);
    await update(id, FAIL);
    await until(() => names(stream).length === 5);
    await update(id, START);
    await until(() => names(stream).length === 6);
    await update(id, "progress = 0.9");
    await update(id, SUCCEED);
    await stream.ended;
    expect(names(stream)).toEqual([
      "state queued",
      "state running",
      "progress 0.4",
      "attempt retried",
      "state queued",
      "state running",
      "progress 0.9",
      "state succeeded",
    ]);
    expect(stream.events[2]?.data).toEqual({ attempt: 1, progress: 0.4, message: "half" });
    expect(stream.events[3]?.data).toMatchObject({
      attempt: 1,
      worker: "w",
      error: { code: "handler_error", type: "E", message: "no" },
      ended_at: expect.any(String),
    });
    expect(stream.events[3]?.data.error).not.toHaveProperty("stack");
    expect(stream.events.at(-1)?.data).toMatchObject({ attempt: 2, failures: 1, losses: 0, cancel_requested: false });
  });

  test("goes on after any event where it was, with nothing told twice", async () => {
    const id = await createTask(api.database, { state: "running", attempt: 3, failures: 2, progress: 0.5 });
    await logFailure(id, 1);
    await logFailure(id, 2);
    const first = await follow(id);
    await until(() => first.events.length === 4);
    const all = ["attempt retried", "attempt retried", "state running", "progress 0.5"];
    expect(names(first)).toEqual(all);
    await update(id, `${SUCCEED}, error = null`);
    await first.ended;
    for (const [at, { id: lastId }] of first.events.entries()) {
      const again = await follow(id, lastId);
      await again.ended;
      // What it was between is not told any more, how it ended is.
      const rest = at < 2 ? [...all.slice(at + 1, 2), "progress 0.5"] : at === 2 ? ["progress 0.5"] : [];
      expect(names(again), lastId).toEqual(at === 4 ? [] : [...rest, "state succeeded"]);
      if (at === 4) expect(again.status).toBe(204);
    }
  });

  test("an id that is none of ours tells everything", async () => {
    const id = await createTask(api.database, { state: "succeeded" });
    for (const lastId of ["", "17", "succeeded.1.0.0", "done.1.0.0.", "x".repeat(200), "succeeded.9999999999.0.0."]) {
      const stream = await follow(id, lastId);
      await stream.ended;
      expect(names(stream), lastId).toEqual(["state succeeded"]);
    }
    expect((await follow(id, "x".repeat(201))).status).toBe(422);
  });

  test("tells a cancellation that is asked for", async () => {
    const id = await createTask(api.database, { state: "running" });
    const stream = await follow(id);
    await until(() => stream.events.length === 1);
    await api.post(`/v1/tasks/${id}/cancel`, "");
    await until(() => stream.events.length === 2);
    expect(stream.events[1]?.data).toMatchObject({ state: "running", cancel_requested: true });
  });

  test("ends when the task is deleted", async () => {
    const id = await createTask(api.database, { state: "running" });
    const stream = await follow(id);
    await until(() => stream.events.length === 1);
    await clearTasks(api.database);
    await stream.ended;
  });

  test("does not exist for tasks of others, and for none", async () => {
    const id = await createTask(api.database, { tenant: "theirs" });
    expect((await follow(id)).status).toBe(404);
    expect((await follow("0198f3c0-0000-7000-8000-000000000000")).status).toBe(404);
  });
});

/** One with an API of its own, whose looks are counted. */
async function own(options: TestApiOptions = {}) {
  let looks: string[][] = [];
  const other = await openTestApi(place, {
    ...options,
    parts: {
      ...options.parts,
      database: {
        ...api.database,
        query: (statement, params) => {
          if (statement.name === "read-watched") looks.push(params[0] as string[]);
          return api.database.query(statement, params);
        },
      },
    },
  });
  return { other, base: await listen(other), looks: () => looks, forget: () => (looks = []) };
}

test("looks once for all listeners, and not at all when the last has left", async () => {
  const { other, base, looks, forget } = await own();
  const ids = await createTasks(api.database, Array(10).fill({ state: "running" }));
  const all = await Promise.all(ids.flatMap((id) => [1, 2, 3].map(() => follow(id, undefined, base))));
  await until(() => all.every(({ events }) => events.length === 1));
  forget();
  await until(() => looks().length >= 2);
  expect(looks()[1]?.toSorted()).toEqual(ids.toSorted());
  for (const { leave } of all) leave();
  // The last that was asked for has nobody left; a new listener is alone.
  const [id = ""] = await createTasks(api.database, [{ state: "running" }]);
  const alone = await follow(id, undefined, base);
  await until(() => looks().at(-1)?.length === 1);
  expect(looks().at(-1)).toEqual([id]);
  alone.leave();
  await alone.ended;
  await other.close();
});

test("says something every 15 s while nothing happens", async () => {
  const clock: Clock = { ...systemClock, after: (ms, signal) => systemClock.after(ms === 15_000 ? 20 : ms, signal) };
  const { other, base } = await own({ parts: { clock } });
  const id = await createTask(api.database, { state: "running" });
  const stream = await follow(id, undefined, base);
  await until(() => (stream.text().match(/^:$/gm) ?? []).length >= 3);
  expect(names(stream)).toEqual(["state running"]);
  stream.leave();
  await stream.ended;
  await other.close();
});

test("a shutdown ends the streams, and takes no new ones", async () => {
  const { other, base } = await own();
  const id = await createTask(api.database, { state: "running" });
  const stream = await follow(id, undefined, base);
  await until(() => stream.events.length === 1);
  other.drain();
  await stream.ended;
  expect(stream.text()).toContain("retry: 1000");
  expect((await other.get(`/v1/tasks/${id}/events`)).status).toBe(503);
  await other.close();
});

test("refuses listeners above the bound, and takes some again when others leave", async () => {
  const { other, base } = await own();
  const id = await createTask(api.database, { state: "running" });
  const all: Stream[] = [];
  for (let at = 0; at < MAX_LISTENERS; at += 100) {
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
  const looks = { failed: 0 };
  const other = await openTestApi(place, {
    parts: {
      database: {
        ...api.database,
        query: async (statement, params) => {
          if (away && statement.name === "read-watched") {
            looks.failed++;
            throw new Error("Connection terminated unexpectedly");
          }
          return await api.database.query(statement, params);
        },
      },
    },
  });
  const id = await createTask(api.database, { state: "running" });
  const stream = await follow(id, undefined, await listen(other));
  await until(() => stream.events.length === 1);
  away = true;
  await until(() => looks.failed > 0);
  away = false;
  await update(id, SUCCEED);
  await stream.ended;
  expect(names(stream)).toEqual(["state running", "state succeeded"]);
  await other.close();
});

test("the id of an event says all that was told", () => {
  const row = {
    id: "x",
    tenant: "default",
    state: "running",
    attempt: 4,
    failures: 1,
    losses: 0,
    worker: "w",
    progress: 0.25,
    progress_message: "a\nb",
    cancel_requested: true,
  } as const;
  const { text, told } = eventsBetween(undefined, { row, attempts: [] });
  const ids = [...text.matchAll(/^id: (.*)$/gm)].map((match) => match[1]);
  expect(toldBy(ids.at(-1))).toEqual(told);
  expect(eventsBetween(told, { row, attempts: [] }).text).toBe("");
  // Data are one line, whatever a handler says.
  expect(
    text
      .split("\n\n")
      .slice(0, -1)
      .every((block) => block.split("\n").length === 3),
  ).toBe(true);
});
