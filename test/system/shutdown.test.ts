/** A worker that is told to stop, and one that stops by itself: what it ran is finished, given back or recorded. */
import { describe, expect, it } from "vitest";
import { startAwsProxy } from "../support/aws-proxy.ts";
import { startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { until } from "../support/until.ts";
import { counted, deadLetters, FOR_EVER_MS, readRows, submit, times, untilStarted, untilSucceeded } from "./work.ts";

const TASKS = 4;

describe.concurrent("a worker", { timeout: TIMES.testTimeoutMs }, () => {
  it("told to stop finishes what is short, gives back what is long at no cost, and returns what its open poll brings", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const proxy = await startAwsProxy(system.aws.endpoint);
    onTestFinished(proxy.close);
    const { drain } = TIMES;
    const [api, stopping] = await Promise.all([
      system.startApi(),
      system.startWorker("stopping", {
        ...drain.env,
        AWS_ENDPOINT_URL: proxy.endpoint,
        TASKIQ_RECEIVE_WAIT_MS: String(POLL_MS),
      }),
    ]);
    const long = await submit(api, times(TASKS, counted(FOR_EVER_MS)));
    await untilStarted(stopping, long);
    const short = await submit(api, times(TASKS, counted(drain.workMs / 2)));
    await untilStarted(stopping, short);

    stopping.signal("SIGTERM");
    await stopping.logged("worker.draining");
    const polls = proxy.callsOf("ReceiveMessage").length;
    const late = await submit(api, times(1, counted(0)));
    // Returned to the queue at once, where another worker finds it.
    const returned = () =>
      proxy.callsOf("ChangeMessageVisibilityBatch").find((call) => call.body.includes('"VisibilityTimeout":0'));
    await until(returned, { deadlineMs: POLL_MS + 2_000, what: "the message of the open poll to be returned" });
    await system.startWorker("second");

    expect(await stopping.exited).toEqual({ code: 0, signal: null });
    const [stopped] = stopping.log("process.stopped");
    await annotate(`drained within ${stopped?.elapsedMs} ms of a budget of ${drain.budgetMs} ms`);
    expect(stopped?.elapsedMs).toBeLessThan(drain.budgetMs);
    expect(proxy.callsOf("ReceiveMessage")).toHaveLength(polls);
    await untilSucceeded(system, 2 * TASKS + 1, 10_000);
    const rows = await readRows(system);
    const ends = (ids: readonly string[]) => rows.filter((row) => ids.includes(row.id)).map(endOf);
    const end = { failures: 0, losses: 0, effects: 1 };
    expect(ends(short)).toEqual(short.map(() => ({ ...end, worker: "stopping", attempt: 1 })));
    expect(ends(long)).toEqual(long.map(() => ({ ...end, worker: "second", attempt: 2 })));
    expect(ends(late)).toEqual([{ ...end, worker: "second", attempt: 1 }]);
  });

  it("whose handlers ignore their abort records their outcomes without them, and exits when half its slots are lost", async ({
    onTestFinished,
  }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    const [api, worker] = await Promise.all([
      system.startApi(),
      system.startWorker("deaf", { ...TIMES.drain.env, TASKIQ_WORKER_SLOTS: "4" }),
    ]);
    await submit(api, times(2, { task: "test.deaf", input: {} }));
    await worker.logged("slot.leaked", (line) => line.leaked === 2 && line.slots === 4);
    await worker.logged("worker.draining");
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    const rows = await readRows(system);
    expect(rows.map(({ state, attempt, failures }) => ({ state, attempt, failures }))).toEqual(
      rows.map(() => ({ state: "failed", attempt: 1, failures: 1 })),
    );
    expect(rows.map((row) => JSON.parse(row.error ?? "{}").code)).toEqual(["timeout", "timeout"]);
    await until(async () => (await deadLetters(system)).length === 2, {
      what: "a copy of both in the dead-letter queue",
    });
  });
});

/** Long enough for a message to arrive while the poll is open. */
const POLL_MS = 5_000;

type End = { failures: number; losses: number; effects: number; worker: string | null; attempt: number };

function endOf({ failures, losses, effects, worker, attempt }: End): End {
  return { failures, losses, effects, worker, attempt };
}
