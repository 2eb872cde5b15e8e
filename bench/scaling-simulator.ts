/**
 * A fleet of workers under a load, in steps of one second, so that a scaling policy can be judged before it is paid for.
 *
 * What it models: Poisson arrivals, lognormal run times (sigma 0.8), slots, the start of a worker, messages deleted when they are
 * claimed (running work shows only where the workers report it), reports that stop in an outage, ECS choosing at random which
 * unprotected worker goes, the drain, and scale-in protection. What it leaves out: jitter of CloudWatch, limits of Fargate's
 * capacity, cold caches. Real waits are longer; the comparison is the result.
 */

import { randomSource } from "./scaling-random.ts";

/** What a driver may look at in one second; null where nobody reported. */
export type Sample = {
  readonly second: number;
  /** How many workers the service is asked to have. */
  readonly desired: number;
  /** What SQS itself says of the queue: known in an outage of ours too. */
  readonly visible: number;
  /** What our own processes report, or null while they are silent. */
  readonly report: {
    readonly backlog: number;
    readonly oldestSeconds: number;
    readonly running: number;
    readonly slots: number;
    readonly workers: number;
    readonly busyWorkers: number;
  } | null;
};

/** Sees every second and answers how many workers there should be. */
export type Driver = (sample: Sample) => number;

export type Load = {
  readonly name: string;
  readonly seconds: number;
  /** Mean run time of a task. */
  readonly taskSeconds: number;
  /** Arrivals a second. */
  readonly rate: (second: number) => number;
  /** So many tasks at once. */
  readonly burst?: { readonly second: number; readonly tasks: number };
  /** While this holds no work gets on and nobody reports. */
  readonly outage?: (second: number) => boolean;
};

export type Fleet = {
  readonly slots: number;
  readonly startSeconds: number;
  /** Workers at second 0, ready. */
  readonly initial: number;
  /**
   * `none`: what runs on a removed worker is lost and runs again. Else the worker drains: work that ends within `drainSeconds` is
   * kept, and a worker with an attempt older than `afterSeconds` is not removed at all.
   */
  readonly protection: "none" | { readonly afterSeconds: number; readonly drainSeconds: number };
};

export type Outcome = {
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
  /** Hours of all workers, from the start of their start to their end. */
  readonly taskHours: number;
  readonly outs: number;
  readonly ins: number;
  /** Outs that follow an in, and ins that follow an out. */
  readonly turns: number;
  /** Running attempts cut off by a scale-in. */
  readonly hits: number;
  /** Of each second. */
  readonly desired: readonly number[];
};

type Attempt = { readonly startedAt: number; readonly endsAt: number; readonly worker: Worker };
type Worker = { readonly readyAt: number; readonly attempts: Set<Attempt>; drainsUntil: number | null };

const SIGMA = 0.8;

/** @param seed the same seed gives the same arrivals and run times to every driver */
export function simulate(load: Load, fleet: Fleet, driver: Driver, seed: number): Outcome {
  const arrivals = randomSource(seed);
  const durations = randomSource(seed + 1_000_003);
  const choice = randomSource(seed + 2_000_003);

  const waits: number[] = [];
  const desiredBySecond: number[] = [];
  const workers = new Set<Worker>();
  // Arrival times of first attempts; a repeated one stands in front of them, as its wait is over already.
  const queue: number[] = [];
  let head = 0;
  let repeated = 0;
  // In work time: it stands still in an outage, and with it everything that runs.
  const endings = new Map<number, Attempt[]>();
  let workSecond = 0;
  let desired = fleet.initial;
  let workerSeconds = 0;
  const moves: number[] = [];
  let hits = 0;

  const add = (readyAt: number) => workers.add({ readyAt, attempts: new Set(), drainsUntil: null });
  for (let index = 0; index < fleet.initial; index++) add(0);

  const cut = (worker: Worker) => {
    hits += worker.attempts.size;
    repeated += worker.attempts.size;
    workers.delete(worker);
  };

  for (let second = 0; second < load.seconds; second++) {
    const outage = load.outage?.(second) ?? false;
    const burst = load.burst?.second === second ? load.burst.tasks : 0;
    for (let count = arrivals.poisson(load.rate(second)) + burst; count > 0; count--) queue.push(second);

    if (!outage) {
      workSecond++;
      for (const attempt of endings.get(workSecond) ?? []) attempt.worker.attempts.delete(attempt);
      endings.delete(workSecond);
    }
    for (const worker of workers) {
      if (worker.drainsUntil === null) continue;
      if (worker.attempts.size === 0) workers.delete(worker);
      else if (second >= worker.drainsUntil) cut(worker);
    }

    const active = [...workers].filter(({ drainsUntil }) => drainsUntil === null);
    const ready = active.filter(({ readyAt }) => readyAt <= second);
    if (!outage) {
      const open = ready.filter(({ attempts }) => attempts.size < fleet.slots);
      while (open.length > 0 && (repeated > 0 || head < queue.length)) {
        const index = Math.floor(choice.next() * open.length);
        const worker = open[index]!;
        if (repeated > 0) repeated--;
        else waits.push(second - queue[head++]!);
        const length = Math.max(1, Math.round(durations.lognormal(load.taskSeconds, SIGMA)));
        const attempt: Attempt = { startedAt: second, endsAt: workSecond + length, worker };
        worker.attempts.add(attempt);
        const ending = endings.get(attempt.endsAt);
        if (ending === undefined) endings.set(attempt.endsAt, [attempt]);
        else ending.push(attempt);
        if (worker.attempts.size === fleet.slots) open.splice(index, 1);
      }
    }

    const backlog = queue.length - head + repeated;
    const running = ready.reduce((sum, { attempts }) => sum + attempts.size, 0);
    const report = {
      backlog,
      oldestSeconds: head < queue.length ? second - queue[head]! : 0,
      running,
      slots: ready.length * fleet.slots,
      workers: ready.length,
      busyWorkers: ready.filter(({ attempts }) => attempts.size > 0).length,
    };
    const next = driver({ second, desired, visible: backlog, report: outage ? null : report });
    if (next !== desired) moves.push(next - desired);
    desired = next;
    desiredBySecond.push(desired);

    for (let missing = desired - active.length; missing > 0; missing--) add(second + fleet.startSeconds);
    for (let surplus = active.length - desired; surplus > 0; surplus--) {
      const { protection } = fleet;
      // Attempts are kept in the order of their start: the first is the oldest.
      const free = active.filter(({ attempts, drainsUntil }) => {
        if (drainsUntil !== null || protection === "none") return drainsUntil === null;
        const [oldest] = attempts;
        return oldest === undefined || second - oldest.startedAt < protection.afterSeconds;
      });
      if (free.length === 0) break;
      const leaving = free[Math.floor(choice.next() * free.length)]!;
      leaving.drainsUntil = second + (protection === "none" ? 0 : protection.drainSeconds);
      if (protection === "none") cut(leaving);
    }
    workerSeconds += workers.size;
  }

  // Tasks that nobody has claimed by the end have waited so far.
  for (; head < queue.length; head++) waits.push(load.seconds - queue[head]!);
  waits.sort((one, other) => one - other);
  const quantile = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? 0;
  return {
    p50: quantile(0.5),
    p95: quantile(0.95),
    max: quantile(1),
    taskHours: workerSeconds / 3_600,
    outs: moves.filter((move) => move > 0).length,
    ins: moves.filter((move) => move < 0).length,
    turns: moves.filter((move, index) => index > 0 && move > 0 !== moves[index - 1]! > 0).length,
    hits,
    desired: desiredBySecond,
  };
}
