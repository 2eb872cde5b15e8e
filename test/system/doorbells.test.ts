/** A message that was never sent, was lost, or cannot be sent for a while: the task runs all the same. */
import { describe, expect, it } from "vitest";
import { systemClock as clock } from "../../runtime/clock.ts";
import { startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { census, counted, deadLetters, submit, times, untilSucceeded } from "./work.ts";

/** What the announcing loop may need after SQS is back: a row whose sending failed keeps its lease of 30 s. */
const ANNOUNCED_AGAIN_MS = 30_000;
/** The constant load: 1,000 tasks in 11 s. */
const TASKS = 1_000;
const BATCH = 50;
const EVERY_MS = 550;

describe.concurrent("a doorbell", { timeout: TIMES.testTimeoutMs }, () => {
  it("never sent, because the API was killed between commit and send: the next API sends it", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const { hostname, port } = new URL(system.aws.endpoint);
    const proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    onTestFinished(proxy.close);
    const [api] = await Promise.all([
      system.startApi({ AWS_ENDPOINT_URL: `http://127.0.0.1:${proxy.port}` }),
      system.startWorker("only"),
    ]);
    proxy.silence();
    await submit(api, times(5, counted(0)));
    // The API has connected to send, and cannot.
    await until(() => proxy.openConnections > 0, { what: "an attempt to send" });
    api.signal("SIGKILL");
    await api.exited;
    expect(await ask(system.database, "select kind from taskiq.outbox")).toHaveLength(5);
    expect(await system.queue.depth()).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    const killedMs = clock.nowMs();

    await system.startApi();
    await untilSucceeded(system, 5, 15_000);
    await annotate(`recovery after kill -9 of the API: ${Math.round(clock.nowMs() - killedMs)} ms`);
    expect(await census(system)).toEqual([{ tasks: 5, state: "succeeded", failures: 0, losses: 0, effects: 1 }]);
  });

  it("in a hundred is thrown away under constant load: every task succeeds, with one effect each", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem({ env: TIMES.ringAgain });
    onTestFinished(system.stop);
    const [api] = await Promise.all([system.startApi(), system.startWorker("first"), system.startWorker("second")]);
    const startedMs = clock.nowMs();
    let loading = true;
    let submitted = 0;
    let thrownAway = 0;
    const load = async (): Promise<void> => {
      for (let batch = 0; submitted < TASKS || thrownAway * 100 < submitted; batch++) {
        await until(() => clock.nowMs() - startedMs >= batch * EVERY_MS, { what: "the time of the next batch" });
        await submit(api, times(BATCH, counted(5)));
        submitted += BATCH;
      }
      loading = false;
    };
    const sabotage = async (): Promise<void> => {
      while (loading) {
        await until(() => !loading || thrownAway * 100 < submitted, { what: "a hundred more doorbells" });
        const [stolen] = await system.queue.receive({ max: 1, waitMs: 1_000 });
        if (stolen === undefined) continue;
        expect(await system.queue.remove([stolen.receiptHandle])).toBe(0);
        thrownAway++;
      }
    };
    // Several, because each competes with the open polls of the workers.
    await Promise.all([load(), sabotage(), sabotage(), sabotage()]);
    expect(clock.nowMs() - startedMs).toBeGreaterThanOrEqual(10_000);
    await untilSucceeded(system, submitted, 4 * TIMES.ringAgainAfterMs + 30_000);
    await annotate(`${thrownAway} of ${submitted} doorbells thrown away`);
    expect(thrownAway).toBeGreaterThanOrEqual(submitted / 100);
    expect(await census(system)).toEqual([
      { tasks: submitted, state: "succeeded", failures: 0, losses: 0, effects: 1 },
    ]);
    expect(api.log("ring.again").reduce((sum, line) => sum + Number(line.count), 0)).toBeGreaterThanOrEqual(thrownAway);
  });

  it("that SQS cannot take for a while waits in Postgres: submits are accepted and run later, and nobody exits", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem({ env: TIMES.ringAgain });
    onTestFinished(system.stop);
    const roles = await Promise.all([system.startApi(), system.startWorker("first"), system.startWorker("second")]);
    const [api, ...workers] = roles;
    await submit(api, times(20, counted(0)));
    await untilSucceeded(system, 20, 10_000);

    await system.stopAws();
    await submit(api, times(20, counted(0)));
    await Promise.all([
      api.logged("announce.failed"),
      ...workers.map((worker) => worker.logged("queue.receive_failed")),
    ]);
    await submit(api, times(20, counted(0)));
    await system.startAwsAgain();
    const backMs = clock.nowMs();
    await submit(api, times(20, counted(0)));
    await untilSucceeded(system, 80, ANNOUNCED_AGAIN_MS + 10_000);
    await annotate(`all caught up ${Math.round(clock.nowMs() - backMs)} ms after SQS came back`);
    expect(roles.map((role) => role.alive)).toEqual([true, true, true]);
    expect(await deadLetters(system)).toEqual([]);
    expect(await census(system)).toEqual([{ tasks: 80, state: "succeeded", failures: 0, losses: 0, effects: 1 }]);
  });
});
