import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { type Breaker, createBreaker } from "../../runtime/worker/breaker.ts";
import { until } from "../support/until.ts";
import { useRig } from "./rig.ts";

const AWAY = new Error("Connection terminated unexpectedly");

const rig = useRig();
const breakers: Breaker[] = [];

afterEach(async () => {
  for (const breaker of breakers.splice(0)) breaker.stop();
});

/** Counts the probes on their way to the real database. */
function watched(database: Database): { ping: Database["ping"]; readonly probes: number } {
  let probes = 0;
  return {
    ping(timeoutMs) {
      probes++;
      return database.ping(timeoutMs);
    },
    get probes() {
      return probes;
    },
  };
}

function breakerOn(database: Pick<Database, "ping">, probeIntervalMs = 5): Breaker {
  const breaker = createBreaker({ database, log: rig.log, clock: systemClock, probeIntervalMs });
  breakers.push(breaker);
  return breaker;
}

test("is closed at first, and asks the database nothing", async () => {
  const database = watched(rig.database);
  const breaker = breakerOn(database);
  expect(breaker.open).toBe(false);
  await breaker.closed();
  expect(database.probes).toBe(0);
});

test("opens when it is tripped and closes when the database answers", async () => {
  const breaker = breakerOn(rig.database);
  breaker.trip(AWAY);
  expect(breaker.open).toBe(true);
  await breaker.closed();
  expect(breaker.open).toBe(false);
  expect(rig.lines.map(({ level, event }) => [level, event])).toEqual([
    ["warn", "database.away"],
    ["info", "database.back"],
  ]);
});

describe("while the database is away", () => {
  async function openDuringOutage(): Promise<{ breaker: Breaker; probes: () => number; end: () => void }> {
    const proxy = await rig.proxy();
    const database = watched(rig.open({ connectionString: proxy.url, max: 1, connectTimeoutMs: 30 }));
    proxy.silence();
    const breaker = breakerOn(database);
    breaker.trip(AWAY);
    return { breaker, probes: () => database.probes, end: () => proxy.restore() };
  }

  test("it probes until there is an answer, and then lets everybody go on", async () => {
    const { breaker, probes, end } = await openDuringOutage();
    const waiting = [breaker.closed(), breaker.closed()];
    await until(() => probes() >= 3);
    expect(breaker.open).toBe(true);
    end();
    await Promise.all(waiting);
    expect(breaker.open).toBe(false);
    const seen = probes();
    await breaker.closed();
    expect(probes()).toBe(seen);
  });

  test("it is tripped and logged once, however many statements fail", async () => {
    const { breaker, probes, end } = await openDuringOutage();
    for (let more = 0; more < 20; more++) breaker.trip(AWAY);
    await until(() => probes() >= 2);
    end();
    await breaker.closed();
    expect(rig.events("database.away")).toHaveLength(1);
    expect(rig.events("database.back")).toHaveLength(1);
  });

  test("stop ends the probing and lets whoever waits go on", async () => {
    const { breaker, probes } = await openDuringOutage();
    await until(() => probes() >= 1);
    const closed = breaker.closed();
    breaker.stop();
    await closed;
    expect(rig.events("database.back")).toEqual([]);
    const seen = probes();
    breaker.trip(AWAY);
    expect(breaker.open).toBe(false);
    await breaker.closed();
    expect(probes()).toBe(seen);
  });
});

test("opens again at the next outage", async () => {
  const breaker = breakerOn(rig.database);
  for (const outage of [1, 2]) {
    breaker.trip(AWAY);
    await breaker.closed();
    expect(rig.events("database.back")).toHaveLength(outage);
  }
});
