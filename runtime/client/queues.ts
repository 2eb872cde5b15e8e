/** Queues over HTTP: look at them, pause them, and put their dead letters back to work. */
import type { Clock } from "../clock.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";

export type Queue = {
  readonly name: string;
  readonly type: "standard" | "fifo";
  readonly order: "named" | "priority";
  readonly fair: boolean;
  readonly delayByPriority: boolean;
  /** When a message is deleted: once its task is claimed, or when it is over. */
  readonly ack: "claimed" | "finished";
  readonly weight: number;
  /** Most slots of one worker; null: all. */
  readonly maxSlots: number | null;
  /** Since when workers claim nothing from it; null: they do. */
  readonly pausedAt: Date | null;
  /** The id of the key that paused it. */
  readonly pausedBy: string | null;
  /** Tasks, counted up to 10,000. */
  readonly queued: number;
  readonly running: number;
  /** How long the task that waits longest has been due; null: none is. */
  readonly oldestAgeMs: number | null;
  /** Messages that are due and not yet sent, counted up to 10,000. */
  readonly unsent: number;
  readonly workers: number;
  readonly slots: number;
  /** Messages, approximate; null where SQS did not answer. */
  readonly visible: number | null;
  readonly inFlight: number | null;
  readonly delayed: number | null;
  /** In the dead-letter queue, which several queues may share. */
  readonly deadLettered: number | null;
  /** Why some of it is null. */
  readonly error: string | null;
  /** As the API gave it. */
  readonly json: string;
};

export type RedriveOptions = {
  /** Most tasks that go back to work. Default: all. */
  readonly limit?: number;
  /** 1..500 tasks a second. Default 50. */
  readonly ratePerSecond?: number;
  /** Deletes messages that no task can come of, instead of leaving them. Default false. */
  readonly discardPoison?: boolean;
  readonly signal?: AbortSignal;
};

export type RedriveReport = {
  /** Failed tasks that are queued again. */
  readonly redriven: number;
  /** Queued tasks whose message SQS had given up. */
  readonly rung: number;
  /** Messages deleted because their task succeeded, runs, was cancelled, or is gone. */
  readonly deleted: number;
  /** Messages deleted that no task can come of. */
  readonly discarded: number;
  /** Messages left there that no task can come of. */
  readonly poison: number;
  /** Messages left there because their task failed again after the redrive had begun. */
  readonly failedAgain: number;
  /** Messages left there that belong to another queue or another tenant. */
  readonly others: number;
  /** What went back to work and what is poison (`task` null), by reason, most first. */
  readonly tasks: readonly RedrivenTasks[];
  readonly beganAt: string;
  /** Nothing more came. */
  readonly done: boolean;
};

export type RedrivenTasks = { readonly task: string | null; readonly reason: string; readonly count: number };

export type Queues = {
  /** In the order of the configuration. */
  list(): Promise<readonly Queue[]>;
  /** Throws ApiError `queue_not_found`, as every function with a name. */
  get(name: string): Promise<Queue>;
  /** Within about a second no worker claims from it. What runs goes on; what is submitted waits. */
  pause(name: string): Promise<Queue>;
  resume(name: string): Promise<Queue>;
  /** What `redrive` would do, of as many messages as can be looked at in one request; nothing is changed. */
  foreseeRedrive(name: string, options?: Pick<RedriveOptions, "signal">): Promise<RedriveReport>;
  /**
   * Puts the tasks of the dead-letter queue back to work until it is empty, the limit is reached, or only what is left there comes any more.
   * May be ended by `signal` at any point; what was done stays done, and `onUpdate` has heard of it.
   */
  redrive(
    name: string,
    options?: RedriveOptions & { onUpdate?: (soFar: RedriveReport) => void },
  ): Promise<RedriveReport>;
};

/** What a request may take on purpose, besides the time for any request. */
const REDRIVE_MS = 10_000;
/** Longer than messages that are left there stay hidden: what comes now has come before. */
const MAX_IDLE_MS = 180_000;

/** @param refuse throws the error of an answer that this API cannot have given */
export function createQueues(requester: Requester, clock: Clock, refuse: (text: string) => never): Queues {
  const pathOf = (name: string): string => `/v1/queues/${encodeURIComponent(name)}`;

  async function one(method: "GET" | "POST", path: string): Promise<Queue> {
    const text = await requester.send({ method, path });
    return readQueue(jsonObject(text)) ?? refuse(text);
  }

  async function step(name: string, body: object, options: RedriveOptions): Promise<RedriveReport> {
    const text = await requester.send({
      method: "POST",
      path: `${pathOf(name)}/redrive`,
      body: JSON.stringify(body),
      heldMs: REDRIVE_MS,
      signal: options.signal,
      // Repeating it redrives more, which a limit would not allow.
      ...(options.limit !== undefined && { once: true }),
    });
    return readReport(jsonObject(text)) ?? refuse(text);
  }

  return {
    async list() {
      const text = await requester.send({ method: "GET", path: "/v1/queues" });
      const queues = jsonObject(text)?.queues;
      return Array.isArray(queues) ? queues.map((queue) => readQueue(queue) ?? refuse(text)) : refuse(text);
    },
    get: (name) => one("GET", pathOf(name)),
    pause: (name) => one("POST", `${pathOf(name)}/pause`),
    resume: (name) => one("POST", `${pathOf(name)}/resume`),
    foreseeRedrive: (name, options = {}) => step(name, { dry_run: true }, options),

    async redrive(name, { onUpdate, ...options } = {}) {
      const { limit = Number.POSITIVE_INFINITY, ratePerSecond, discardPoison } = options;
      let total = NOTHING;
      let movedMs = clock.nowMs();
      for (;;) {
        const left = limit - total.redriven - total.rung;
        const wanted = { limit: Number.isFinite(left) ? left : undefined, rate_per_second: ratePerSecond };
        const begun = total === NOTHING ? {} : { began_at: total.beganAt };
        const report = await step(name, { ...wanted, ...begun, discard_poison: discardPoison }, options);
        total = sum(total, report);
        onUpdate?.(total);
        if (report.redriven + report.rung + report.deleted + report.discarded > 0) movedMs = clock.nowMs();
        const isSpent = total.redriven + total.rung >= limit;
        if (report.done || isSpent || clock.nowMs() - movedMs > MAX_IDLE_MS) return total;
      }
    },
  };
}

const NOTHING: RedriveReport = {
  redriven: 0,
  rung: 0,
  deleted: 0,
  discarded: 0,
  poison: 0,
  failedAgain: 0,
  others: 0,
  tasks: [],
  beganAt: "",
  done: false,
};

function sum(one: RedriveReport, other: RedriveReport): RedriveReport {
  const tasks = new Map<string, RedrivenTasks>();
  for (const entry of [...one.tasks, ...other.tasks]) {
    const key = JSON.stringify([entry.task, entry.reason]);
    tasks.set(key, { ...entry, count: (tasks.get(key)?.count ?? 0) + entry.count });
  }
  return {
    redriven: one.redriven + other.redriven,
    rung: one.rung + other.rung,
    deleted: one.deleted + other.deleted,
    discarded: one.discarded + other.discarded,
    poison: one.poison + other.poison,
    failedAgain: one.failedAgain + other.failedAgain,
    others: one.others + other.others,
    tasks: [...tasks.values()].toSorted((a, b) => b.count - a.count),
    beganAt: other.beganAt,
    done: other.done,
  };
}

export function readQueue(value: unknown): Queue | undefined {
  const body = recordOf(value);
  if (typeof body.name !== "string" || typeof body.paused !== "boolean") return undefined;
  const oldestAgeSeconds = numberOf(body.oldest_age_seconds);
  return {
    name: body.name,
    type: body.type === "fifo" ? "fifo" : "standard",
    order: body.order === "priority" ? "priority" : "named",
    fair: body.fair === true,
    delayByPriority: body.delay_by_priority === true,
    ack: body.ack === "finished" ? "finished" : "claimed",
    weight: numberOf(body.weight) ?? 1,
    maxSlots: numberOf(body.max_slots),
    pausedAt: body.paused && typeof body.paused_at === "string" ? new Date(body.paused_at) : null,
    pausedBy: textOf(body.paused_by),
    queued: numberOf(body.queued) ?? 0,
    running: numberOf(body.running) ?? 0,
    oldestAgeMs: oldestAgeSeconds === null ? null : oldestAgeSeconds * 1_000,
    unsent: numberOf(body.unsent) ?? 0,
    workers: numberOf(body.workers) ?? 0,
    slots: numberOf(body.slots) ?? 0,
    visible: numberOf(body.visible),
    inFlight: numberOf(body.in_flight),
    delayed: numberOf(body.delayed),
    deadLettered: numberOf(body.dead_lettered),
    error: textOf(body.error),
    json: JSON.stringify(body),
  };
}

function readReport(body: Readonly<Record<string, unknown>> | undefined): RedriveReport | undefined {
  if (typeof body?.redriven !== "number" || typeof body.done !== "boolean") return undefined;
  const tasks = Array.isArray(body.tasks) ? body.tasks.map(recordOf) : [];
  return {
    redriven: body.redriven,
    rung: numberOf(body.rung) ?? 0,
    deleted: numberOf(body.deleted) ?? 0,
    discarded: numberOf(body.discarded) ?? 0,
    poison: numberOf(body.poison) ?? 0,
    failedAgain: numberOf(body.failed_again) ?? 0,
    others: numberOf(body.others) ?? 0,
    tasks: tasks.map(({ task, reason, count }) => ({
      task: textOf(task),
      reason: String(reason),
      count: numberOf(count) ?? 0,
    })),
    beganAt: String(body.began_at),
    done: body.done,
  };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  // Any name may be asked for; what comes is unknown.
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
