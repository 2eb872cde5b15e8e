/** Postgres goes away and comes back: nothing is lost, nothing is charged, nobody exits. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { systemClock as clock } from "../../runtime/clock.ts";
import { startAwsProxy } from "../support/aws-proxy.ts";
import { type Api, type Postgres, type System, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { until } from "../support/until.ts";
import {
  census,
  counted,
  deadLetters,
  FOR_EVER_MS,
  readRows,
  submit,
  times,
  untilStarted,
  untilSucceeded,
} from "./work.ts";

const CLIENTS = 16;
const TASKS = 20;
/** The announcing loop may have backed off this far when the database is back. */
const LOOP_PAUSE_MS = 10_000;

describe.concurrent("while Postgres", { timeout: TIMES.testTimeoutMs }, () => {
  it("restarts twice under load: every accepted task succeeds once, POSTs answer 202 or 503, and no process exits", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem({ ownServer: true, env: TIMES.ringAgain });
    onTestFinished(system.stop);
    const roles = await Promise.all([system.startApi(), system.startWorker("first"), system.startWorker("second")]);
    const load = startLoad(roles[0]);
    for (const restart of [1, 2]) {
      await until(() => load.accepted() >= restart * 100, { what: `${restart * 100} accepted tasks` });
      const refused = load.answers(503);
      const whileDown = async (): Promise<void> => {
        await until(() => load.answers(503) > refused, { what: "a POST that is refused" });
      };
      await serverOf(system).restart({ immediate: true, whileDown });
    }
    const backMs = clock.nowMs();
    const before = load.accepted();
    await until(() => load.accepted() >= before + 50, { deadlineMs: 20_000, what: "50 more accepted tasks" });
    await load.stop();
    await untilSucceeded(system, load.accepted(), 60_000);
    await annotate(
      `${load.accepted()} tasks, ${load.answers(503)} POSTs refused; done ${Math.round(clock.nowMs() - backMs)} ms after the last restart`,
    );

    expect(load.statuses()).toEqual([202, 503]);
    expect(roles.map((role) => role.alive)).toEqual([true, true, true]);
    expect(await deadLetters(system)).toEqual([]);
    // A POST that was repeated with its key has made one task, also where the answer to the first one was lost.
    expect(await census(system)).toEqual([
      { tasks: load.accepted(), state: "succeeded", failures: 0, losses: 0, effects: 1 },
    ]);
  });

  it("is away for longer than a lease: nobody polls, running and finished attempts are charged nothing, and each has one effect", async ({
    onTestFinished,
    annotate,
  }) => {
    const system = await startSystem({ ownServer: true });
    onTestFinished(system.stop);
    const proxy = await startAwsProxy(system.aws.endpoint);
    onTestFinished(proxy.close);
    const [api, worker] = await Promise.all([
      system.startApi(),
      system.startWorker("only", { AWS_ENDPOINT_URL: proxy.endpoint }),
    ]);
    const running = await submit(api, times(TASKS, counted(FOR_EVER_MS)));
    await untilStarted(worker, running);
    // Their handlers return before the worker gives its attempts up, and their outcomes wait for the database.
    const finishing = await submit(api, times(TASKS, counted(TIMES.leaseMs / 2)));
    await untilStarted(worker, finishing);

    const downMs = clock.nowMs();
    const passed = (ms: number) =>
      until(() => clock.nowMs() - downMs >= ms, { deadlineMs: ms, what: `${ms} ms of outage` });
    let another: Promise<Api> | undefined;
    await serverOf(system).restart({
      whileDown: async () => {
        // By then the worker has met the outage, and its last poll is over.
        await passed(TIMES.leaseMs);
        const polls = proxy.callsOf("ReceiveMessage").length;
        await passed((TIMES.leaseMs + TIMES.awayMs) / 2);
        another = system.startApi();
        await passed(TIMES.awayMs);
        expect(proxy.callsOf("ReceiveMessage")).toHaveLength(polls);
        // The reaper finds the database before the worker does: every lease has run out, and none may be taken for lost.
        worker.signal("SIGSTOP");
      },
    });
    await another;
    worker.signal("SIGCONT");
    const backMs = clock.nowMs();
    await untilSucceeded(system, 2 * TASKS, TIMES.leaseMs + LOOP_PAUSE_MS + 10_000);
    await annotate(`all done ${Math.round(clock.nowMs() - backMs)} ms after an outage of ${TIMES.awayMs} ms`);
    expect(await census(system)).toEqual([
      { tasks: 2 * TASKS, state: "succeeded", failures: 0, losses: 0, effects: 1 },
    ]);
    const attempts = async (ids: string[]) => (await readRows(system, ids)).map((row) => row.attempt);
    expect(await attempts(running)).toEqual(running.map(() => 2));
    expect(await attempts(finishing)).toEqual(finishing.map(() => 1));
    expect([api.alive, worker.alive]).toEqual([true, true]);
  });
});

function serverOf(system: System): Postgres {
  if (system.postgres === undefined) throw new Error("expected a server of its own");
  return system.postgres;
}

type Load = {
  accepted(): number;
  answers(status: number): number;
  /** Every status seen, each once, in order; 0 for a request without an answer. */
  statuses(): number[];
  /** Resolves when every task that was begun is accepted. */
  stop(): Promise<void>;
};

/** Clients that submit one task after the other, and repeat each with its key until it is accepted. */
function startLoad(api: Api): Load {
  const counts = new Map<number, number>();
  const body = JSON.stringify(counted(100));
  let stopped = false;
  let accepted = 0;

  async function post(key: string): Promise<number> {
    try {
      const response = await fetch(`${api.url}/v1/tasks`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key },
        body,
      });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return 0;
    }
  }

  async function submitOne(): Promise<void> {
    const key = randomUUID();
    const answered = async (): Promise<boolean> => {
      const status = await post(key);
      counts.set(status, (counts.get(status) ?? 0) + 1);
      return status === 202;
    };
    await until(answered, { deadlineMs: 60_000, what: "an accepted task" });
    accepted++;
  }

  async function client(): Promise<void> {
    while (!stopped) await submitOne();
  }

  const clients = Array.from({ length: CLIENTS }, client);
  return {
    accepted: () => accepted,
    answers: (status) => counts.get(status) ?? 0,
    statuses: () => [...counts.keys()].sort((a, b) => a - b),
    async stop() {
      stopped = true;
      await Promise.all(clients);
    },
  };
}
