import { afterEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { Delivery } from "../../runtime/queue/queue.ts";
import { type Breaker, createBreaker } from "../../runtime/worker/breaker.ts";
import { poll } from "../../runtime/worker/poll.ts";
import { createSlots, type Slots } from "../../runtime/worker/slots.ts";
import { until } from "../support/until.ts";
import { createGate, type Gate, type QueueTap, type QueueWays, tapQueue, useRig } from "./rig.ts";

const rig = useRig();
let polling: Polling[] = [];

afterEach(async () => {
  for (const one of polling) {
    one.breaker.stop();
    one.stop();
  }
  await Promise.all(polling.map((one) => one.over));
  polling = [];
});

type Polling = {
  readonly queue: QueueTap;
  readonly slots: Slots;
  readonly breaker: Breaker;
  readonly received: Delivery[];
  /** Rounds that were reported. */
  rounds(): number;
  stop(): void;
  readonly over: Promise<void>;
};

type PollingOptions = {
  readonly slots?: number;
  readonly ways?: QueueWays;
  readonly waitMs?: number;
  readonly clock?: Clock;
  /** A breaker that was tripped already. */
  readonly tripped?: Breaker;
};

/** Polls as a worker does: what comes takes its slots at once, and keeps them. */
function startPolling({
  slots: total = 100,
  ways,
  waitMs = 30,
  clock = systemClock,
  tripped,
}: PollingOptions = {}): Polling {
  const queue = tapQueue(rig.queue(), ways);
  const slots = createSlots(total);
  const breaker = tripped ?? createBreaker({ database: rig.database, log: rig.log, clock: systemClock });
  const stopping = new AbortController();
  const received: Delivery[] = [];
  let rounds = 0;
  const over = poll({
    queue,
    slots,
    breaker,
    log: rig.log,
    clock,
    waitMs,
    stopping: stopping.signal,
    mayPoll: async () => {},
    onMessages(messages) {
      received.push(...messages);
      slots.take(messages.length);
    },
    onProgress() {
      rounds++;
    },
  });
  const one: Polling = {
    queue,
    slots,
    breaker,
    received,
    rounds: () => rounds,
    over,
    stop() {
      stopping.abort();
      slots.wake();
    },
  };
  polling.push(one);
  return one;
}

/** Does not wait for a first message. */
function atOnce(): Promise<Delivery[]> {
  return rig.queue().receive({ max: 10, waitMs: 0 });
}

async function fill(messages: number): Promise<void> {
  await rig.send(Array.from({ length: messages }, (_, nth) => ({ body: `{"nth":${nth}}` })));
}

describe("asks", () => {
  test.each([
    [4, 4],
    [10, 10],
    [25, 10],
  ])("with %i free slots for %i messages", async (slots, max) => {
    const { queue } = startPolling({ slots, waitMs: 1_234, ways: { receive: atOnce } });
    await until(() => queue.receives.length > 0);
    expect(queue.receives[0]).toEqual({ max, waitMs: 1_234 });
  });

  test("for what is left after the messages that came", async () => {
    await fill(3);
    const { queue } = startPolling({ slots: 5 });
    await until(() => queue.receives.length >= 2);
    expect(queue.receives.slice(0, 2).map((one) => one.max)).toEqual([5, 2]);
  });

  test("for nothing while every slot is taken, and again as soon as one is free", async () => {
    await fill(5);
    const { queue, slots, received, rounds } = startPolling({ slots: 3 });
    await until(() => rounds() === 1);
    expect([received.length, slots.free, queue.receives.length]).toEqual([3, 0, 1]);
    slots.release();
    await until(() => received.length === 4);
    expect(queue.receives.map((one) => one.max)).toEqual([3, 1]);
  });

  test("again at once after an empty answer, with one poll open at a time", async () => {
    const { queue, rounds } = startPolling({ waitMs: 0 });
    await until(() => rounds() >= 5);
    expect(queue.mostOpen).toBe(1);
  });
});

describe("on a backlog", () => {
  test("a second poll is open, which does not wait, and it ends with the first answer that is not full", async () => {
    await fill(45);
    const { queue, received } = startPolling({ slots: 200 });
    await until(() => received.length === 45);
    expect(queue.mostOpen).toBe(2);
    const quick = queue.receives.filter((one) => one.waitMs === 0).length;
    expect(quick).toBeGreaterThan(0);
    const seen = queue.receives.length;
    await until(() => queue.receives.length >= seen + 4);
    expect(queue.receives.filter((one) => one.waitMs === 0).length - quick).toBeLessThanOrEqual(1);
    expect(new Set(received.map((message) => message.messageId)).size).toBe(45);
  });

  test("no second poll is opened where there is no room for both", async () => {
    await fill(40);
    const { queue, received } = startPolling({ slots: 29 });
    await until(() => received.length >= 20);
    expect(queue.mostOpen).toBe(1);
  });

  test("the two polls together never ask for more than there is room for", async () => {
    await fill(60);
    const asked: { free: number; open: number }[] = [];
    const second = createGate();
    let open = 0;
    const { slots, received } = startPolling({
      slots: 30,
      ways: {
        async receive({ max, waitMs }, receive) {
          open += max;
          asked.push({ free: slots.free, open });
          try {
            // The second poll's answer is slow; meanwhile the first goes round.
            if (waitMs === 0) await second.opened;
            return await receive();
          } finally {
            open -= max;
          }
        },
      },
    });
    await until(() => received.length >= 20);
    second.open();
    await until(() => received.length >= 30);
    expect(asked.filter((one) => one.open > one.free)).toEqual([]);
  });
});

describe("stopped", () => {
  test("it waits for the open poll, hands on what that brought, and asks no more", async () => {
    await fill(2);
    const answer = createGate();
    const { queue, received, stop, over } = startPolling({
      ways: {
        async receive(_options, receive) {
          const messages = await receive();
          await answer.opened;
          return messages;
        },
      },
    });
    await until(() => queue.open === 1);
    stop();
    answer.open();
    await over;
    expect(received).toHaveLength(2);
    expect(queue.receives).toHaveLength(1);
  });

  test("it waits for both polls of a backlog", async () => {
    await fill(40);
    const first = createGate();
    const second = createGate();
    const { queue, received, stop, over } = startPolling({
      ways: {
        async receive({ waitMs }, receive) {
          const messages = await receive();
          if (waitMs === 0) await second.opened;
          else if (queue.receives.length > 1) await first.opened;
          return messages;
        },
      },
    });
    let ended = false;
    void over.then(() => {
      ended = true;
    });
    await until(() => queue.open === 2);
    stop();
    first.open();
    await until(() => queue.open === 1);
    await new Promise(setImmediate);
    expect(ended).toBe(false);
    second.open();
    await over;
    expect(received).toHaveLength(30);
  });

  test("it does not wait for a slot", async () => {
    await fill(1);
    const { queue, rounds, stop, over } = startPolling({ slots: 1 });
    await until(() => rounds() === 1);
    stop();
    await over;
    expect(queue.receives).toHaveLength(1);
  });

  test("it does not wait out the pause after an error", async () => {
    const paused = createGate();
    const clock: Clock = {
      ...systemClock,
      async after(_ms, signal) {
        paused.open();
        await systemClock.after(600_000, signal);
      },
    };
    const { stop, over } = startPolling({ clock, ways: { receive: () => Promise.reject(new Error("no route")) } });
    await paused.opened;
    stop();
    await over;
  });

  test("it does not wait for a database that is away", async () => {
    const breaker = awayFor(createGate());
    const { queue, stop, over } = startPolling({ tripped: breaker });
    await until(() => probes >= 1);
    stop();
    let ended = false;
    void over.then(() => {
      ended = true;
    });
    await until(() => ended, { deadlineMs: 1_000, what: "the poll loop to end while the breaker is open" });
    expect(queue.receives).toEqual([]);
  });
});

test("receives nothing while the database is away, and goes on when it is back", async () => {
  await fill(1);
  const outage = createGate();
  const breaker = awayFor(outage);
  const { queue, received } = startPolling({ tripped: breaker });
  await until(() => probes >= 3);
  expect(queue.receives).toEqual([]);
  outage.open();
  await until(() => received.length === 1);
});

test("opens no second poll while the database is away", async () => {
  await fill(40);
  const outage = createGate();
  const breaker = awayFor(outage, "closed at first");
  const { queue, received } = startPolling({
    tripped: breaker,
    ways: {
      async receive(_options, receive) {
        const messages = await receive();
        breaker.trip(new Error("Connection terminated"));
        return messages;
      },
    },
  });
  await until(() => probes >= 3);
  expect(queue.receives).toHaveLength(1);
  outage.open();
  await until(() => received.length > 10);
});

describe("a poll that fails", () => {
  /** A clock whose pauses are over at once, and known. */
  function impatient(pauses: number[]): Clock {
    return {
      ...systemClock,
      async after(ms, signal) {
        pauses.push(ms);
        await systemClock.after(0, signal);
      },
    };
  }

  test("is repeated after a pause that doubles from 200 ms to 10 s, with jitter", async () => {
    const pauses: number[] = [];
    const failing = { receive: () => Promise.reject(new Error("no route")) };
    const { queue } = startPolling({ clock: impatient(pauses), ways: failing });
    await until(() => pauses.length >= 9);
    const ceilings = [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000];
    for (const [nth, ceiling] of ceilings.entries()) {
      expect(pauses[nth]).toBeGreaterThanOrEqual(ceiling / 2);
      expect(pauses[nth]).toBeLessThanOrEqual(ceiling);
    }
    expect(queue.mostOpen).toBe(1);
    const [line] = rig.events("queue.receive_failed");
    expect(line).toMatchObject({ level: "warn", queue: "default", error: { message: "no route" } });
    const said = rig.events("queue.receive_failed").map((one) => one.retryInMs);
    expect(said.slice(0, 9)).toEqual(pauses.slice(0, 9).map(Math.round));
  });

  test("is forgotten once one has succeeded", async () => {
    const pauses: number[] = [];
    let nth = 0;
    startPolling({
      clock: impatient(pauses),
      waitMs: 0,
      ways: { receive: (_options, receive) => (++nth % 4 === 0 ? receive() : Promise.reject(new Error("no route"))) },
    });
    await until(() => pauses.length >= 6);
    expect(pauses[2]).toBeGreaterThanOrEqual(400);
    expect(pauses[3]).toBeLessThanOrEqual(200);
  });

  test("counts as a sign of life, because SQS being away is no reason to restart", async () => {
    const { rounds } = startPolling({ clock: impatient([]), ways: { receive: () => Promise.reject(new Error("no")) } });
    await until(() => rounds() >= 3);
  });
});

let probes = 0;

/** A breaker on a database that does not answer before the gate is open. */
function awayFor(outage: Gate, state: "tripped" | "closed at first" = "tripped"): Breaker {
  probes = 0;
  let over = false;
  void outage.opened.then(() => {
    over = true;
  });
  const database = {
    async ping(timeoutMs: number) {
      probes++;
      if (!over) throw new Error("no answer");
      await rig.database.ping(timeoutMs);
    },
  };
  const breaker = createBreaker({ database, log: rig.log, clock: systemClock, probeIntervalMs: 5 });
  if (state === "tripped") breaker.trip(new Error("Connection terminated"));
  return breaker;
}
