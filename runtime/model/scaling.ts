/**
 * How many workers there should be. One policy, two drivers: the executor's own scaler calls `decide`; the stack turns the same
 * numbers into step policies and alarms of CloudWatch (infra/autoscaling.ts). bench/scaling.ts shows what either does to the waits.
 *
 * Out in sized steps, because one worker at a time leaves a tenfold load waiting for twenty minutes. In by a share of the fleet,
 * and only after a long quiet time in which the slots were not busy either: a fleet that keeps up has no backlog, and would be
 * shrunk for doing its work. What is not known counts as busy.
 */

/** From this backlog on, relative to `outAbove`, a scale-out adds so many workers. */
export type ScalingStep = { readonly above: number; readonly add: number };

export type ScalingPolicy = {
  /** Fewest workers, from 0; 0 lets the fleet sleep when there is nothing at all to do. */
  readonly min: number;
  /** Most workers; their database connections must fit. */
  readonly max: number;
  /** How much backlog one worker is meant for: a step never adds more workers than its backlog needs. */
  readonly perWorker: number;
  /** More workers while the backlog is above this. */
  readonly outAbove: number;
  /** Fewer workers while the backlog is below this and the slots are not busy. */
  readonly inBelow: number;
  /** Least time between two scale-outs. */
  readonly outCooldownMs: number;
  /** Least time between two scale-ins, and from a scale-out to the next scale-in. */
  readonly inCooldownMs: number;
  /** From this share of running work in all slots on, 0 to 1, a fleet is busy. */
  readonly busyShare: number;
  /** How long it must have been quiet before workers go. */
  readonly quietMs: number;
  /** A busy fleet whose oldest queued task is older than this gets `oldestAdd` more, however short the queue. */
  readonly oldestAgeMs: number;
  readonly oldestAdd: number;
  /** Which share of the workers one scale-in removes, 0 to 1; at least one worker, else rounded down. */
  readonly inShare: number;
  /** Ascending by `above`, the first at 0. */
  readonly steps: readonly ScalingStep[];
};

/**
 * One look at the slots says little: at a load of two thirds every small fleet is full for a moment within five minutes, and would
 * never shrink. As long as CloudWatch's period, so that both drivers see the same.
 */
const BUSY_MEAN_MS = 60_000;

/** The numbers of the CloudWatch driver; the builtin one sees more often and waits 30 s between two scale-outs. */
export const DEFAULT_POLICY: ScalingPolicy = {
  min: 1,
  max: 20,
  perWorker: 5,
  outAbove: 50,
  inBelow: 10,
  outCooldownMs: 180_000,
  inCooldownMs: 300_000,
  busyShare: 0.8,
  quietMs: 300_000,
  oldestAgeMs: 300_000,
  oldestAdd: 10,
  inShare: 0.2,
  steps: [
    { above: 0, add: 2 },
    { above: 50, add: 5 },
    { above: 200, add: 10 },
    { above: 450, add: 20 },
  ],
};

/** What a driver saw; null is unknown. */
export type Observation = {
  readonly nowMs: number;
  /** How many workers the service is asked to have. */
  readonly desired: number;
  /** Visible messages and due doorbells that are not sent yet. */
  readonly backlog: number | null;
  /** Age of the oldest queued task that is due; null also when there is none. */
  readonly oldestAgeMs: number | null;
  /** Attempts that run, over all live workers. */
  readonly running: number | null;
  /** Slots of all live workers. */
  readonly slots: number | null;
  /** Workers with at least one running attempt. */
  readonly busyWorkers: number | null;
};

/** What one decision leaves to the next. */
export type ScalingMemory = {
  readonly lastOutAtMs: number | null;
  readonly lastInAtMs: number | null;
  readonly quietSinceMs: number | null;
  /** The busy share, averaged over about a minute up to `atMs`; null: nothing seen yet. */
  readonly busyMean: { readonly share: number; readonly atMs: number } | null;
};

/** Before the first decision: nothing to wait for, and quiet only from now on. */
export const NO_MEMORY: ScalingMemory = { lastOutAtMs: null, lastInAtMs: null, quietSinceMs: null, busyMean: null };

export type Decision = {
  readonly desired: number;
  readonly change: "out" | "in" | "none";
  /** Why, in words for the log. */
  readonly reason: string;
  readonly memory: ScalingMemory;
};

/**
 * What to ask the service for now.
 *
 * No scale-in goes below the busy workers, and none happens while anything is unknown; a larger backlog never gets fewer workers.
 * A count outside `min`..`max` is brought back without waiting for a cooldown, unless one of these two forbids it.
 */
export function decide(policy: ScalingPolicy, observation: Observation, memory: ScalingMemory): Decision {
  const { nowMs, desired, backlog } = observation;
  const busy = meanBusyShare(observation, memory);
  const quietSinceMs = isQuiet(policy, observation, busy) ? (memory.quietSinceMs ?? nowMs) : null;
  const kept: ScalingMemory = { ...memory, quietSinceMs, busyMean: { share: busy, atMs: nowMs } };
  const stay = (reason: string): Decision => ({ desired, change: "none", reason, memory: kept });

  if (desired < policy.min) {
    return { desired: policy.min, change: "out", reason: `fewer than the minimum of ${policy.min}`, memory: kept };
  }

  const wanted = wantedMore(policy, observation, busy);
  if (wanted.add > 0 && desired < policy.max) {
    if (!passed(memory.lastOutAtMs, policy.outCooldownMs, nowMs)) return stay(`${wanted.reason}, in the cooldown`);
    const more = Math.min(desired + wanted.add, policy.max);
    return { desired: more, change: "out", reason: wanted.reason, memory: { ...kept, lastOutAtMs: nowMs } };
  }

  const { busyWorkers } = observation;
  if (backlog === null || busyWorkers === null || observation.running === null || observation.slots === null) {
    return stay("load is not known");
  }
  if (desired > policy.max) {
    const fewer = Math.min(desired, Math.max(policy.max, busyWorkers));
    if (fewer === desired) return stay(`more than the maximum of ${policy.max}, but all of them are busy`);
    const reason = `more than the maximum of ${policy.max}`;
    return { desired: fewer, change: "in", reason, memory: { ...kept, lastInAtMs: nowMs } };
  }
  if (wanted.add > 0) return stay(`${wanted.reason}, at the maximum of ${policy.max}`);

  if (quietSinceMs === null) {
    if (backlog >= policy.inBelow) return stay("backlog is between the limits");
    return stay(busy < policy.busyShare ? "the last worker has work" : "slots are busy");
  }
  if (nowMs - quietSinceMs < policy.quietMs) return stay("not quiet for long enough");
  const rested =
    passed(memory.lastInAtMs, policy.inCooldownMs, nowMs) && passed(memory.lastOutAtMs, policy.inCooldownMs, nowMs);
  if (!rested) return stay("quiet, in the cooldown");
  const lowest = Math.max(policy.min, busyWorkers, desired > 1 ? 1 : 0);
  const fewer = Math.max(desired - stepIn(policy, desired), lowest);
  if (fewer >= desired)
    return stay(desired <= policy.min ? "quiet, at the minimum" : "quiet, but all workers are busy");
  const reason = `backlog ${backlog} is below ${policy.inBelow} and the slots are not busy`;
  return { desired: fewer, change: "in", reason, memory: { ...kept, lastInAtMs: nowMs } };
}

/**
 * The scale-out table with absolute bounds: from `above` (exclusive for the first, which is the alarm's own threshold; inclusive
 * for the others) a backlog adds so many workers. Both drivers read this one.
 */
export function scaleOutTable(policy: ScalingPolicy): readonly ScalingStep[] {
  return policy.steps.map(({ above, add }) => {
    const backlog = policy.outAbove + above;
    return { above: backlog, add: Math.min(add, Math.max(1, Math.ceil(backlog / policy.perWorker))) };
  });
}

/** Workers removed by one scale-in of a fleet of this size: the share rounded down, as Application Auto Scaling does, at least 1. */
export function stepIn(policy: ScalingPolicy, desired: number): number {
  // 0.29 * 100 is 28.999999999999996.
  return Math.max(1, Math.floor(desired * policy.inShare + 1e-9));
}

/** Running work in all slots, 0 to 1; 1 when unknown or when no worker reports. */
function busyShare({ running, slots }: Observation): number {
  if (running === null || slots === null || slots <= 0) return 1;
  return running / slots;
}

function meanBusyShare(observation: Observation, { busyMean }: ScalingMemory): number {
  const now = busyShare(observation);
  if (busyMean === null) return now;
  const past = Math.exp(-Math.max(0, observation.nowMs - busyMean.atMs) / BUSY_MEAN_MS);
  return past * busyMean.share + (1 - past) * now;
}

function isQuiet(policy: ScalingPolicy, observation: Observation, busy: number): boolean {
  const { desired, backlog, running, slots } = observation;
  if (backlog === null || running === null || slots === null) return false;
  // The last worker of a fleet that may sleep goes when there was nothing at all: else it would be woken every few minutes.
  if (policy.min === 0 && desired <= 1 && (backlog > 0 || running > 0)) return false;
  return backlog < policy.inBelow && busy < policy.busyShare;
}

function wantedMore(policy: ScalingPolicy, observation: Observation, busy: number): { add: number; reason: string } {
  const { backlog, desired } = observation;
  const oldestAgeMs = observation.oldestAgeMs ?? 0;
  const byBacklog = backlog === null ? 0 : addFor(policy, backlog);
  // Idle workers that leave an old task where it is would leave it there in any number.
  const byAge = oldestAgeMs > policy.oldestAgeMs && busy >= policy.busyShare ? policy.oldestAdd : 0;
  if (byAge > byBacklog) {
    return { add: byAge, reason: `a task has waited for ${Math.round(oldestAgeMs / 1_000)} s` };
  }
  if (byBacklog > 0) return { add: byBacklog, reason: `backlog ${backlog} is above ${policy.outAbove}` };
  if (desired === 0 && backlog !== null && backlog > 0) return { add: 1, reason: `backlog ${backlog}, and no worker` };
  return { add: 0, reason: "" };
}

function addFor(policy: ScalingPolicy, backlog: number): number {
  if (backlog <= policy.outAbove) return 0;
  return scaleOutTable(policy).findLast(({ above }) => backlog >= above)?.add ?? 0;
}

function passed(sinceMs: number | null, waitMs: number, nowMs: number): boolean {
  return sinceMs === null || nowMs - sinceMs >= waitMs;
}
