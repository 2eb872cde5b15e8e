/** How a deployment does, once and as it goes. */
import type { Clock } from "../clock.ts";
import { type EventOptions, followEvents, type Message } from "./event-stream.ts";
import { jsonObject } from "./problem.ts";
import { type Queue, readQueue } from "./queues.ts";
import type { Requester } from "./request.ts";

/** How many tasks ended how, and how long they waited and ran, to about a tenth. */
export type Ends = {
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly skipped: number;
  /** From due to the start of the last attempt. Null: nothing that ended had been started. */
  readonly waitP50Ms: number | null;
  readonly waitP95Ms: number | null;
  readonly waitP99Ms: number | null;
  /** From the start of the last attempt to the end. */
  readonly runP50Ms: number | null;
  readonly runP95Ms: number | null;
  readonly runP99Ms: number | null;
};

/** Tasks, runs, schedules and failures are those of the key's tenant; queues and workers are shared by all. */
export type Overview = {
  /** Until when ends were counted. */
  readonly at: Date;
  readonly tenant: string;
  readonly intervalSeconds: number;
  /** What ended within 15 minutes, by interval, oldest first; the last one is not over. */
  readonly points: readonly ({ readonly at: Date } & Ends)[];
  /** Of all those intervals. */
  readonly totals: Ends;
  /** Now, counted up to 10,000. */
  readonly tasks: { readonly blocked: number; readonly queued: number; readonly running: number };
  /** Those that run now, and those that ended within an hour. */
  readonly runs: {
    readonly running: number;
    readonly succeeded: number;
    readonly failed: number;
    readonly cancelled: number;
  };
  readonly schedules: { readonly active: number; readonly paused: number; readonly disabled: number };
  /** `ratePerSecond`: tasks that ended, on average over the last minute. */
  readonly queues: readonly (Queue & { readonly ratePerSecond: number })[];
  /** `slots` and `running` of those that are not lost. */
  readonly workers: {
    readonly alive: number;
    readonly draining: number;
    readonly lost: number;
    readonly slots: number;
    readonly running: number;
  };
  /** The ten most frequent reasons within an hour. */
  readonly failures: readonly OverviewFailure[];
};

export type OverviewFailure = {
  readonly task: string;
  readonly queue: string;
  readonly code: string;
  readonly message: string | null;
  readonly count: number;
  readonly lastAt: Date;
  readonly lastTaskId: string;
};

/** `away`: the API is there, but its database does not answer at the moment. */
export type LiveEvent = { readonly kind: "overview"; readonly overview: Overview } | { readonly kind: "away" };

/** @param refuse throws the error of an answer that this API cannot have given */
export async function readOverview(requester: Requester, refuse: (text: string) => never): Promise<Overview> {
  const text = await requester.send({ method: "GET", path: "/v1/overview" });
  return overviewOf(text) ?? refuse(text);
}

export function liveEvents(requester: Requester, options: EventOptions, clock: Clock): AsyncGenerator<LiveEvent, void> {
  return followEvents(requester, "/v1/live", options, clock, { read: readEvent, isLast: () => false });
}

function readEvent({ event, data }: Message): LiveEvent | undefined {
  if (event === "away") return { kind: "away" };
  const overview = event === "overview" ? overviewOf(data) : undefined;
  return overview === undefined ? undefined : { kind: "overview", overview };
}

type EndsBody = {
  succeeded: number;
  failed: number;
  cancelled: number;
  skipped: number;
  wait_p50_ms: number | null;
  wait_p95_ms: number | null;
  wait_p99_ms: number | null;
  run_p50_ms: number | null;
  run_p95_ms: number | null;
  run_p99_ms: number | null;
};

type OverviewBody = Pick<Overview, "tenant" | "tasks" | "runs" | "schedules" | "workers"> & {
  at: string;
  interval_seconds: number;
  points: ({ at: string } & EndsBody)[];
  totals: EndsBody;
  queues: (object & { rate_per_second: number })[];
  failures: {
    task: string;
    queue: string;
    code: string;
    message: string | null;
    count: number;
    last_at: string;
    last_task_id: string;
  }[];
};

function overviewOf(text: string): Overview | undefined {
  const object = jsonObject(text);
  if (!Array.isArray(object?.points) || !Array.isArray(object.queues)) return undefined;
  // What has points and queues is an overview as the API describes it.
  const body = object as unknown as OverviewBody;
  const { tenant, tasks, runs, schedules, workers } = body;
  return {
    at: new Date(body.at),
    tenant,
    intervalSeconds: body.interval_seconds,
    points: body.points.map(({ at, ...ends }) => ({ at: new Date(at), ...endsOf(ends) })),
    totals: endsOf(body.totals),
    tasks,
    runs,
    schedules,
    queues: body.queues.flatMap((one) => {
      const queue = readQueue(one);
      return queue === undefined ? [] : [{ ...queue, ratePerSecond: one.rate_per_second }];
    }),
    workers,
    failures: body.failures.map(({ last_at: lastAt, last_task_id: lastTaskId, ...failure }) => ({
      ...failure,
      lastAt: new Date(lastAt),
      lastTaskId,
    })),
  };
}

function endsOf(body: EndsBody): Ends {
  return {
    succeeded: body.succeeded,
    failed: body.failed,
    cancelled: body.cancelled,
    skipped: body.skipped,
    waitP50Ms: body.wait_p50_ms,
    waitP95Ms: body.wait_p95_ms,
    waitP99Ms: body.wait_p99_ms,
    runP50Ms: body.run_p50_ms,
    runP95Ms: body.run_p95_ms,
    runP99Ms: body.run_p99_ms,
  };
}
