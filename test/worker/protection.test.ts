import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openLog } from "../../runtime/log.ts";
import { createProtection, type Protection } from "../../runtime/worker/protection.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";
import type { LogLine } from "./rig.ts";
import { agrees, errs, fails, type StubAgent, type StubAnswer, startStubAgent } from "./stub-agent.ts";

const SECOND = 1_000;
const MINUTE = 60_000;
const SET = { ProtectionEnabled: true, ExpiresInMinutes: 15 };
const CLEAR = { ProtectionEnabled: false };

let agent: StubAgent;
let clock: ManualClock;
let lines: LogLine[];
let attempts: Map<string, { startedMs: number }>;
let protection: Protection;
let gaveUp: number;
/** A worker of a newer revision is alive. */
let outdated: boolean;

beforeEach(async () => {
  agent = await startStubAgent();
  [clock, lines, attempts, gaveUp, outdated] = [createManualClock(), [], new Map(), 0, false];
});

afterEach(async () => {
  agent.answer(agrees);
  const stopped = protection.stop();
  await clock.advance(10 * SECOND);
  await stopped;
  expect(agent.strays).toEqual([]);
  await agent.close();
});

function start({ agentUrl = agent.url as string | null, afterMs = 10 * SECOND, limitMs = 30 * MINUTE } = {}): void {
  const log = openLog({ level: "debug", format: "json", service: "t", write: (line) => lines.push(JSON.parse(line)) });
  protection = createProtection({ agentUrl, afterMs, limitMs, log, clock });
  protection.start({ attempts, isOutdated: () => outdated, giveUp: () => gaveUp++ });
}

function begin(id: string): void {
  attempts.set(id, { startedMs: clock.nowMs() });
}

/** Time passes look by look, each with its call answered. */
async function pass(ms: number): Promise<void> {
  for (const endMs = clock.nowMs() + ms; clock.nowMs() < endMs; ) {
    await untilLooked();
    await clock.advance(Math.min(SECOND, endMs - clock.nowMs()));
  }
  await untilLooked();
}

/** The look under way has ended, or the watch has. */
async function untilLooked(): Promise<void> {
  await until(() => gaveUp > 0 || clock.waits.includes(SECOND), { what: "the look to end" });
}

const events = (...names: string[]) => lines.filter((line) => names.includes(line.event));
/** ECS says no because of the deployment. */
const blocked = (): StubAnswer => fails("DEPLOYMENT_BLOCKED", "too many protected tasks");

describe("a worker beside newer ones", () => {
  test("gives up after the limit, although ECS renews its protection, when it has long work", async () => {
    start({ limitMs: 10 * MINUTE });
    begin("a");
    await pass(30 * MINUTE);
    expect(gaveUp).toBe(0);
    outdated = true;
    await pass(9 * MINUTE);
    expect(gaveUp).toBe(0);
    await pass(2 * MINUTE);
    expect(gaveUp).toBe(1);
    expect(events("protection.exhausted")).toHaveLength(1);
  });

  test("goes on when the newer ones were rolled back, or it has no long work", async () => {
    start({ limitMs: 10 * MINUTE });
    begin("a");
    outdated = true;
    await pass(9 * MINUTE);
    outdated = false;
    await pass(MINUTE);
    outdated = true;
    await pass(9 * MINUTE);
    attempts.clear();
    await pass(30 * MINUTE);
    expect(gaveUp).toBe(0);
  });
});

describe("a worker is protected", () => {
  test("when an attempt has run for afterMs, and not before", async () => {
    start();
    begin("a");
    await pass(9 * SECOND);
    expect(agent.calls).toEqual([]);
    await pass(2 * SECOND);
    expect(agent.calls).toEqual([SET]);
    expect(events("protection.changed")).toMatchObject([{ level: "debug", protected: true }]);
  });

  test("by no amount of attempts that are shorter", async () => {
    start();
    for (let nth = 0; nth < 40; nth++) {
      begin(`${nth}`);
      attempts.delete(`${nth - 2}`);
      await pass(3 * SECOND);
    }
    expect(agent.calls).toEqual([]);
  });

  test("anew every five minutes while long work runs", async () => {
    start();
    begin("a");
    await pass(10 * SECOND + 16 * MINUTE);
    expect(agent.calls).toEqual([SET, SET, SET, SET]);
    expect(events("protection.changed")).toHaveLength(1);
  });

  test("until 15 s after the last long attempt has ended", async () => {
    start();
    begin("a");
    begin("b");
    await pass(20 * SECOND);
    attempts.delete("a");
    await pass(40 * SECOND);
    attempts.delete("b");
    await pass(13 * SECOND);
    expect(agent.calls).toEqual([SET]);
    await pass(3 * SECOND);
    expect(agent.calls).toEqual([SET, CLEAR]);
    expect(events("protection.changed")).toMatchObject([{ protected: true }, { protected: false }]);
    await pass(2 * MINUTE);
    expect(agent.calls).toHaveLength(2);
  });

  test("without a break by long attempts that follow within these 15 s", async () => {
    start({ afterMs: 0 });
    for (let nth = 0; nth < 5; nth++) {
      begin("a");
      await pass(10 * SECOND);
      attempts.delete("a");
      await pass(12 * SECOND);
    }
    expect(agent.calls).toEqual([SET]);
  });

  test("again by long work that comes after it was cleared", async () => {
    start({ afterMs: 0 });
    for (let nth = 0; nth < 2; nth++) {
      begin("a");
      await pass(5 * SECOND);
      attempts.delete("a");
      await pass(20 * SECOND);
    }
    expect(agent.calls).toEqual([SET, CLEAR, SET, CLEAR]);
  });
});

describe("when it stops", () => {
  test("its protection is cleared", async () => {
    start({ afterMs: 0 });
    begin("a");
    await pass(2 * SECOND);
    await protection.stop();
    expect(agent.calls).toEqual([SET, CLEAR]);
  });

  test("nothing is asked where nothing was set", async () => {
    start();
    begin("a");
    await pass(2 * SECOND);
    await protection.stop();
    expect(agent.calls).toEqual([]);
  });

  test("a protection is cleared that was asked for and never confirmed", async () => {
    agent.answer((call) => (call.ProtectionEnabled ? "hang_up" : agrees(call)));
    start({ afterMs: 0 });
    begin("a");
    await pass(2 * SECOND);
    await protection.stop();
    expect(agent.calls.at(-1)).toEqual(CLEAR);
  });

  test("it does not wait for an agent that does not answer", async () => {
    start({ afterMs: 0 });
    begin("a");
    await pass(2 * SECOND);
    agent.answer(() => "silence");
    let stopped = false;
    const stopping = protection.stop().then(() => {
      stopped = true;
    });
    await until(() => agent.calls.length === 2);
    await clock.advance(2_900);
    expect(stopped).toBe(false);
    await clock.advance(100);
    await stopping;
  });
});

test("nothing is asked, and nothing fails, where there is no agent", async () => {
  start({ agentUrl: null, afterMs: 0 });
  begin("a");
  await clock.advance(MINUTE);
  await protection.stop();
  expect([agent.calls, lines, clock.waits, gaveUp]).toEqual([[], [], [], 0]);
});

describe("a failure", () => {
  const failures: [string, StubAnswer, object][] = [
    ["a task of no service", fails("TASK_NOT_VALID"), { code: "TASK_NOT_VALID", detail: "" }],
    ["a task that ECS does not know", fails("MISSING", "gone"), { code: "MISSING", detail: "gone" }],
    ["a role without the permission", errs(400, "AccessDeniedException"), { code: "AccessDeniedException" }],
    ["no role", errs(403, "AccessDeniedException"), { code: "AccessDeniedException" }],
    ["an unknown container", errs(404, "ResourceNotFoundException"), { code: "ResourceNotFoundException" }],
    ["throttling by ECS", errs(400, "ThrottlingException", "Rate exceeded"), { detail: "Rate exceeded" }],
    ["throttling by the agent", { status: 429, body: "Too many requests" }, { code: "unreadable", detail: /429/ }],
    ["ECS being down", errs(500, "ServerException"), { code: "ServerException" }],
    ["ECS not answering the agent", errs(504, "RequestCanceled"), { code: "RequestCanceled" }],
    ["an answer that is no JSON", { status: 200, body: "<html>" }, { code: "unreadable", detail: /200: <html>/ }],
    ["an empty answer", { status: 200, body: "" }, { code: "unreadable" }],
    ["an answer of another shape", { status: 200, body: '{"protection":null}' }, { code: "unreadable" }],
    ["an answer that is not what was asked", agrees(CLEAR), { code: "unreadable", detail: /false/ }],
    ["an agent that hangs up", "hang_up", { code: "unanswered", detail: /closed|hang/ }],
  ];

  test.each(failures)("%s is logged once, and asked again until it works", async (_what, answer, line) => {
    agent.answer(() => answer);
    start({ afterMs: 0 });
    begin("a");
    await pass(20 * SECOND);
    const tried = agent.calls.length;
    expect(tried).toBeGreaterThanOrEqual(4);
    const matching = Object.fromEntries(
      Object.entries(line).map(([name, value]) => [
        name,
        value instanceof RegExp ? expect.stringMatching(value) : value,
      ]),
    );
    expect(events("protection.failed")).toEqual([
      expect.objectContaining({ level: "warn", protect: true, ...matching }),
    ]);
    agent.answer(agrees);
    await pass(MINUTE);
    expect(events("protection.changed")).toMatchObject([{ protected: true }]);
    const done = agent.calls.length;
    expect(done).toBe(tried + 1);
    // The next one is news again.
    agent.answer(() => answer);
    await pass(6 * MINUTE);
    expect(events("protection.failed")).toHaveLength(2);
    expect(gaveUp).toBe(0);
  });

  test("an agent that never answers is waited for 5 s", async () => {
    agent.answer(() => "silence");
    start({ afterMs: 0 });
    begin("a");
    await clock.advance(SECOND);
    await until(() => agent.calls.length === 1);
    await clock.advance(4_900);
    expect(lines).toEqual([]);
    await clock.advance(100);
    await until(() => events("protection.failed").length === 1);
    expect(events("protection.failed")).toMatchObject([
      { code: "unanswered", detail: "expected an answer within 5000 ms" },
    ]);
  });

  test("that nobody listens is one", async () => {
    const { url } = agent;
    await agent.close();
    start({ afterMs: 0 });
    begin("a");
    await pass(5 * SECOND);
    expect(events("protection.failed")).toMatchObject([
      { code: "unanswered", detail: expect.stringMatching(/ECONNREFUSED/) },
    ]);
    agent = { ...(await startStubAgent()), url };
  });

  test("is asked again after a pause that grows to a minute", async () => {
    agent.answer(() => errs(500, "ServerException"));
    start({ afterMs: 0 });
    begin("a");
    await pass(MINUTE);
    expect(agent.calls.length).toBeLessThanOrEqual(9);
    const before = agent.calls.length;
    await pass(20 * MINUTE);
    const later = agent.calls.length - before;
    expect(later).toBeGreaterThanOrEqual(19);
    expect(later).toBeLessThanOrEqual(42);
  });

  test("never ends the worker, however long it lasts", async () => {
    agent.answer(() => errs(500, "ServerException"));
    start({ afterMs: 0, limitMs: MINUTE });
    begin("a");
    await pass(20 * MINUTE);
    expect([gaveUp, events("protection.exhausted")]).toEqual([0, []]);
  });

  test("to clear is tried again until the protection has lapsed by itself", async () => {
    agent.answer((call) => (call.ProtectionEnabled ? agrees(call) : errs(500, "ServerException")));
    start({ afterMs: 0 });
    begin("a");
    await pass(2 * SECOND);
    attempts.clear();
    await pass(MINUTE);
    const early = agent.calls.length;
    expect(early).toBeGreaterThan(3);
    await pass(15 * MINUTE);
    const lapsed = agent.calls.length;
    await pass(10 * MINUTE);
    expect(agent.calls.length).toBe(lapsed);
    expect(events("protection.failed")).toMatchObject([{ protect: false }]);
  });
});

describe("a refusal because of a deployment", () => {
  test("is logged once, and asked again until ECS agrees", async () => {
    agent.answer(blocked);
    start({ afterMs: 0 });
    begin("a");
    await pass(5 * MINUTE);
    expect(agent.calls.length).toBeGreaterThan(8);
    expect(lines).toMatchObject([
      { level: "warn", event: "protection.refused", detail: "too many protected tasks", protectedMs: 0 },
    ]);
    agent.answer(agrees);
    await pass(MINUTE + SECOND);
    expect(events("protection.changed")).toMatchObject([{ protected: true }]);
    expect(gaveUp).toBe(0);
  });

  test("that comes as an error is one as well", async () => {
    agent.answer(() => errs(400, "DEPLOYMENT_BLOCKED", "wait"));
    start({ afterMs: 0 });
    begin("a");
    await pass(2 * SECOND);
    expect(lines).toMatchObject([{ event: "protection.refused", detail: "wait" }]);
  });

  test("makes the worker give up once it has lasted for limitMs, and only once", async () => {
    agent.answer(blocked);
    start({ afterMs: 0, limitMs: 10 * MINUTE });
    begin("a");
    await pass(10 * MINUTE - SECOND);
    expect(gaveUp).toBe(0);
    await pass(MINUTE + SECOND);
    expect(gaveUp).toBe(1);
    expect(events("protection.exhausted")).toMatchObject([{ level: "warn", protectedMs: 0 }]);
    expect(events("protection.exhausted")[0]?.refusedMs).toBeGreaterThanOrEqual(10 * MINUTE);
    const asked = agent.calls.length;
    await clock.advance(10 * MINUTE);
    expect([gaveUp, agent.calls.length]).toEqual([1, asked]);
  });

  test("makes it give up at once when it has been protected for that long already", async () => {
    start({ afterMs: 0, limitMs: 10 * MINUTE });
    begin("a");
    await pass(12 * MINUTE);
    agent.answer(blocked);
    await pass(4 * MINUTE);
    expect(gaveUp).toBe(1);
    expect(events("protection.exhausted")).toMatchObject([{ refusedMs: 0 }]);
    expect(events("protection.exhausted")[0]?.protectedMs).toBeGreaterThan(14 * MINUTE);
  });

  test("counts anew when ECS has agreed in between", async () => {
    agent.answer(blocked);
    start({ afterMs: 0, limitMs: 10 * MINUTE });
    begin("a");
    await pass(8 * MINUTE);
    agent.answer(agrees);
    await pass(2 * MINUTE);
    agent.answer(blocked);
    await pass(7 * MINUTE);
    expect(gaveUp).toBe(0);
    expect(events("protection.refused")).toHaveLength(2);
    await pass(6 * MINUTE);
    expect(gaveUp).toBe(1);
  });

  test("counts anew when the long work has ended in between", async () => {
    agent.answer(blocked);
    start({ afterMs: 0, limitMs: 10 * MINUTE });
    begin("a");
    await pass(8 * MINUTE);
    attempts.clear();
    await pass(20 * SECOND);
    begin("b");
    await pass(8 * MINUTE);
    expect(gaveUp).toBe(0);
  });

  test("does not end the worker while the agent only fails since", async () => {
    agent.answer(blocked);
    start({ afterMs: 0, limitMs: 5 * MINUTE });
    begin("a");
    await pass(MINUTE);
    agent.answer(() => errs(500, "ServerException"));
    await pass(30 * MINUTE);
    expect(gaveUp).toBe(0);
    expect(lines.map((line) => line.event)).toEqual(["protection.refused", "protection.failed"]);
    agent.answer(blocked);
    await pass(2 * MINUTE);
    expect(gaveUp).toBe(1);
  });
});
