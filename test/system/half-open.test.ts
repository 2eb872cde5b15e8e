/** Connections that go silent without an end: nothing waits on them for longer than its timeout, and nothing is lost. */
import { describe, expect, it, type OnTestFinishedHandler } from "vitest";
import { systemClock as clock } from "../../runtime/clock.ts";
import { type Api, type Role, type System, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { census, counted, deadLetters, submit, times, untilSucceeded } from "./work.ts";

type OnTestFinished = (end: OnTestFinishedHandler) => void;

const TASKS = 20;
/** A statement gives up after its timeout, SQS after 5 s (a poll after its wait and 5 s); both loops pause up to 10 s after failures. */
const NOTICED_MS = 20_000;

describe.concurrent("half-open connections", { timeout: TIMES.testTimeoutMs }, () => {
  it("to Postgres: the API answers within its timeouts, and everything runs over new connections", async ({
    onTestFinished,
    annotate,
  }) => {
    const { system, api, worker, proxy } = await start(onTestFinished, "postgres");
    proxy.strand();
    const strandedMs = clock.nowMs();
    const first = await answer(api);
    await annotate(`first answer ${first.status} after ${first.ms} ms`);
    expect([202, 503]).toContain(first.status);
    expect(first.ms).toBeLessThan(NOTICED_MS);
    const accepted = async () => (await answer(api)).status === 202;
    await until(accepted, { deadlineMs: NOTICED_MS, what: "an accepted task" });
    const before = (await census(system)).reduce((sum, line) => sum + line.tasks, 0);
    await submit(api, times(TASKS, counted(0)));
    await untilSucceeded(system, before + TASKS, NOTICED_MS + TIMES.leaseMs);
    await annotate(`all done ${Math.round(clock.nowMs() - strandedMs)} ms after the connections went silent`);
    await expectUnharmed(system, [api, worker]);
  });

  it("to SQS: submits are accepted at once, and their tasks run over new connections", async ({
    onTestFinished,
    annotate,
  }) => {
    const { system, api, worker, proxy } = await start(onTestFinished, "sqs");
    proxy.strand();
    const strandedMs = clock.nowMs();
    const first = await answer(api);
    expect(first.status).toBe(202);
    await annotate(`accepted after ${first.ms} ms`);
    await submit(api, times(TASKS, counted(0)));
    // What could not be sent keeps its lease of 30 s in the outbox before it is sent again; what SQS sent down a stranded connection is rung again.
    await untilSucceeded(system, 2 * TASKS + 1, 30_000 + NOTICED_MS + 4 * TIMES.ringAgainAfterMs);
    await annotate(`all done ${Math.round(clock.nowMs() - strandedMs)} ms after the connections went silent`);
    await expectUnharmed(system, [api, worker]);
  });

  for (const peer of ["postgres", "sqs"] as const) {
    it(`to ${peer}, old and new, for longer than a lease: everything runs when it speaks again`, async ({
      onTestFinished,
      annotate,
    }) => {
      const { system, api, worker, proxy } = await start(onTestFinished, peer);
      proxy.silence();
      const silentMs = clock.nowMs();
      const first = await answer(api);
      expect(first.status).toBe(peer === "sqs" ? 202 : 503);
      expect(first.ms).toBeLessThan(NOTICED_MS);
      await until(() => clock.nowMs() - silentMs >= TIMES.awayMs, { deadlineMs: TIMES.awayMs + 1_000 });
      // What the pools kept of the silence is of no use to anybody.
      proxy.cut();
      proxy.restore();
      const backMs = clock.nowMs();
      const accepted = async () => (await answer(api)).status === 202;
      await until(accepted, { deadlineMs: NOTICED_MS, what: "an accepted task" });
      const before = (await census(system)).reduce((sum, line) => sum + line.tasks, 0);
      await submit(api, times(TASKS, counted(0)));
      await untilSucceeded(system, before + TASKS, 30_000 + NOTICED_MS + TIMES.leaseMs + 4 * TIMES.ringAgainAfterMs);
      await annotate(`all done ${Math.round(clock.nowMs() - backMs)} ms after ${TIMES.awayMs} ms of silence`);
      await expectUnharmed(system, [api, worker]);
    });
  }
});

/** An API and a worker that reach one of their peers through a proxy, warm: they have run tasks already. */
async function start(
  onTestFinished: OnTestFinished,
  peer: "postgres" | "sqs",
): Promise<{ system: System; api: Api; worker: Role; proxy: TcpProxy }> {
  const system = await startSystem({ env: { ...TIMES.impatient, ...TIMES.ringAgain } });
  onTestFinished(system.stop);
  const url = new URL(peer === "sqs" ? system.aws.endpoint : system.databaseUrl);
  const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  onTestFinished(proxy.close);
  url.host = `${proxy.host}:${proxy.port}`;
  const through = peer === "sqs" ? { AWS_ENDPOINT_URL: url.href.replace(/\/$/, "") } : { DATABASE_URL: url.href };
  const [api, worker] = await Promise.all([system.startApi(through), system.startWorker("only", through)]);
  await submit(api, times(TASKS, counted(0)));
  await untilSucceeded(system, TASKS, 10_000);
  return { system, api, worker, proxy };
}

async function answer(api: Api): Promise<{ status: number; ms: number }> {
  const startedMs = clock.nowMs();
  const response = await fetch(`${api.url}/v1/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(counted(0)),
  });
  await response.arrayBuffer();
  return { status: response.status, ms: Math.round(clock.nowMs() - startedMs) };
}

async function expectUnharmed(system: System, roles: readonly Role[]): Promise<void> {
  expect(roles.map((role) => role.alive)).toEqual(roles.map(() => true));
  expect(await deadLetters(system)).toEqual([]);
  const [one, ...others] = await census(system);
  expect(others).toEqual([]);
  expect(one).toMatchObject({ state: "succeeded", failures: 0, losses: 0, effects: 1 });
}
