/**
 * The policies side by side. The first two are what ships: the same numbers read by CloudWatch and Application Auto Scaling, or by
 * the executor's own scaler. The other two are what one would write first, for comparison.
 */

import {
  DEFAULT_POLICY,
  decide,
  NO_MEMORY,
  type ScalingPolicy,
  scaleOutTable,
  stepIn,
} from "../runtime/model/scaling.ts";
import type { Driver, Sample } from "./scaling-simulator.ts";

export type NamedDriver = { readonly name: string; readonly create: () => Driver };

/** What the executor's scaler has of its own: it sees within seconds what a scale-out did, so it need not wait three minutes. */
export const BUILTIN_POLICY: ScalingPolicy = { ...DEFAULT_POLICY, outCooldownMs: 30_000 };

export const CLOUDWATCH: NamedDriver = { name: "`cloudwatch`", create: () => cloudwatch(DEFAULT_POLICY) };
export const BUILTIN: NamedDriver = { name: "`builtin`", create: () => builtin(BUILTIN_POLICY) };
export const LITERAL: NamedDriver = { name: "+1/−1", create: () => literal(DEFAULT_POLICY) };
export const TARGET_TRACKING: NamedDriver = { name: "target tracking", create: () => targetTracking(DEFAULT_POLICY) };

/** One period of a CloudWatch metric, as an alarm sees it; null where there was no data point. */
type Period = {
  readonly backlog: number | null;
  readonly oldestSeconds: number | null;
  readonly busyShare: number;
  readonly workers: number | null;
  readonly visible: number;
};

const PUBLISH_EVERY = 20;
const ALARM_EVERY = 60;
const METRIC_DELAY = 60;

/** Step policies and alarms as infra/autoscaling.ts makes them from the policy. */
export function cloudwatch(policy: ScalingPolicy): Driver {
  const quietPeriods = Math.ceil(policy.quietMs / 1_000 / ALARM_EVERY);
  return onPeriods((periods, desired, target) => {
    const newest = periods.at(-1);
    if (newest === undefined) return desired;
    const byBacklog =
      newest.backlog !== null && newest.backlog > policy.outAbove
        ? (scaleOutTable(policy).findLast(({ above }) => newest.backlog! >= above)?.add ?? 0)
        : 0;
    const old = (newest.oldestSeconds ?? 0) > policy.oldestAgeMs / 1_000 && newest.busyShare >= policy.busyShare;
    const byAge = old ? policy.oldestAdd : 0;
    const awake = policy.min === 0 && newest.workers === 0 && (newest.backlog ?? 0) >= 1 ? 1 : 0;
    const added = target.out(Math.max(byBacklog, byAge, awake), policy.outCooldownMs / 1_000, desired, policy.max);
    if (added !== desired) return added;

    const last = periods.slice(-quietPeriods);
    const quiet = last.length === quietPeriods && last.every((period) => isQuiet(policy, period));
    return quiet ? target.in(stepIn(policy, desired), policy.inCooldownMs / 1_000, desired, policy.min) : desired;
  });
}

/** The expression of the scale-in alarm; the last worker of a fleet that may sleep goes only when there is nothing at all. */
function isQuiet(policy: ScalingPolicy, { backlog, busyShare, workers }: Period): boolean {
  if (backlog === null || backlog >= policy.inBelow || busyShare >= policy.busyShare) return false;
  return policy.min > 0 || (workers ?? 0) > 1 || (backlog === 0 && busyShare === 0);
}

/** The executor's scaler: no metric in between, five seconds apart; in an outage it knows nothing. */
export function builtin(policy: ScalingPolicy, everySeconds = 5): Driver {
  let memory = NO_MEMORY;
  return ({ second, desired, report }) => {
    if (second % everySeconds !== 0) return desired;
    const observation = {
      nowMs: second * 1_000,
      desired,
      backlog: report?.backlog ?? null,
      oldestAgeMs: report === null ? null : report.oldestSeconds * 1_000,
      running: report?.running ?? null,
      slots: report?.slots ?? null,
      busyWorkers: report?.busyWorkers ?? null,
    };
    const decision = decide(policy, observation, memory);
    memory = decision.memory;
    return decision.desired;
  };
}

/** The predecessor's rule read literally: one more above 50 visible, one fewer below 10, 300 s apart, on one data point. */
export function literal({ min, max, outAbove, inBelow }: ScalingPolicy): Driver {
  return onPeriods((periods, desired, target) => {
    const visible = periods.at(-1)?.visible;
    if (visible === undefined) return desired;
    if (visible > outAbove) return target.out(1, 300, desired, max);
    return visible < inBelow ? target.in(1, 300, desired, min) : desired;
  });
}

/**
 * Target tracking on visible messages for each running worker: proportional out after 3 of 3 minutes above, in after 15 of 15
 * minutes below 90 % of the target. AWS says only that it scales in gradually: a fifth at most is assumed here.
 */
export function targetTracking(policy: ScalingPolicy): Driver {
  const { min, max, perWorker } = policy;
  return onPeriods((periods, desired, target) => {
    const ratios = periods.slice(-15).map(({ visible, workers }) => visible / Math.max(1, workers ?? 0));
    const high = ratios.slice(-3);
    if (high.length === 3 && high.every((ratio) => ratio > perWorker)) {
      return target.out(Math.ceil((desired * high.at(-1)!) / perWorker) - desired, 60, desired, max);
    }
    const low = ratios.length === 15 && ratios.every((ratio) => ratio < 0.9 * perWorker);
    return low ? target.in(stepIn(policy, desired), 300, desired, min) : desired;
  });
}

type ScalableTarget = {
  readonly out: (add: number, cooldown: number, desired: number, max: number) => number;
  readonly in: (remove: number, cooldown: number, desired: number, min: number) => number;
};

/**
 * Metrics by period, seen `METRIC_DELAY` after the period's end, and the cooldowns of Application Auto Scaling: in the cooldown of
 * a scale-out a larger one adds the difference; in that of a scale-in nothing goes, but a scale-out ends it.
 */
function onPeriods(evaluate: (periods: readonly Period[], desired: number, target: ScalableTarget) => number): Driver {
  const published: Period[] = [];
  const pending: { readonly from: number; readonly period: Period }[] = [];
  let samples: Sample[] = [];
  let now = 0;
  let outUntil = 0;
  let addedInCooldown = 0;
  let inUntil = 0;
  const target: ScalableTarget = {
    out(add, cooldown, desired, max) {
      const counted = now < outUntil ? addedInCooldown : 0;
      const next = Math.min(max, desired + add - counted);
      if (add <= counted || next <= desired) return desired;
      addedInCooldown = counted + next - desired;
      outUntil = now + cooldown;
      inUntil = 0;
      return next;
    },
    in(remove, cooldown, desired, min) {
      const next = Math.max(min, desired - remove);
      if (now < inUntil || next >= desired) return desired;
      inUntil = now + cooldown;
      return next;
    },
  };
  return (sample) => {
    now = sample.second;
    if (now % PUBLISH_EVERY === 0) samples.push(sample);
    if (now === 0 || now % ALARM_EVERY !== 0) return sample.desired;
    pending.push({ from: now + METRIC_DELAY, period: periodOf(samples) });
    samples = [];
    while (pending[0] !== undefined && pending[0].from <= now) published.push(pending.shift()!.period);
    return evaluate(published, sample.desired, target);
  };
}

function periodOf(samples: readonly Sample[]): Period {
  const reports = samples.flatMap(({ report }) => (report === null ? [] : [report]));
  const sum = (of: "running" | "slots") => reports.reduce((total, report) => total + report[of], 0);
  const most = (of: "backlog" | "oldestSeconds" | "workers") =>
    reports.length === 0 ? null : Math.max(...reports.map((report) => report[of]));
  return {
    backlog: most("backlog"),
    oldestSeconds: most("oldestSeconds"),
    busyShare: sum("slots") > 0 ? sum("running") / sum("slots") : 1,
    workers: most("workers"),
    visible: Math.max(...samples.map(({ visible }) => visible)),
  };
}
