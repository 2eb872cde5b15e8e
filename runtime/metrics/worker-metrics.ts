/** What one worker does, counted. The hot path only adds to numbers that it has found once. */

import type { SavedResult } from "../define/middleware.ts";
import type { ClaimedTask, Verdict } from "../flow/claim.ts";
import type { GroupVerdict } from "../flow/claim-group.ts";
import type { WorkerObserver, WorkerState } from "../worker/observer.ts";
import { createBound } from "./bound.ts";
import { codeOf } from "./database-code.ts";
import type { Count, Meters, Spread } from "./meters.ts";

/** What `taskq_claims_total` calls it. */
const RESULTS = {
  claimed: "won",
  finished: "duplicate",
  running: "leased",
  contended: "contended",
  limited: "limited",
  not_due: "early",
  unknown_task: "unknown",
  unknown_expired: "unknown",
  missing: "missing",
  empty: "missing",
} as const satisfies Record<(Verdict | GroupVerdict)["kind"], string>;

/** The series of the tasks of one name on one queue. */
type OfType = {
  readonly started: Count;
  readonly attempts: Spread;
  /** By outcome. */
  readonly ended: Map<string, Count>;
};

export function createWorkerMetrics(meters: Meters): WorkerObserver {
  const types = new Map<string, Map<string, OfType>>();
  const claims = new Map(
    Object.values(RESULTS).map((result) => [result, meters.counter("taskq_claims_total", { result })]),
  );
  const lost = meters.counter("taskq_lease_lost_total", {});
  const latency = meters.histogram("taskq_cancel_latency_seconds", {});
  const aborts = meters.counter("taskq_cancel_escalations_total", { level: "abort" });
  const kills = meters.counter("taskq_cancel_escalations_total", { level: "kill" });
  const failures = {
    db: meters.counter("taskq_heartbeat_failures_total", { target: "db" }),
    sqs: meters.counter("taskq_heartbeat_failures_total", { target: "sqs" }),
  };
  const payloads = {
    input: meters.histogram("taskq_payload_bytes", { kind: "input" }),
    result: meters.histogram("taskq_payload_bytes", { kind: "result" }),
  };
  const codes = createBound();

  function typeOf({ queue, name }: Pick<ClaimedTask, "queue" | "name">): OfType {
    const ofQueue = types.get(queue) ?? new Map<string, OfType>();
    if (ofQueue.size === 0) types.set(queue, ofQueue);
    let type = ofQueue.get(name);
    if (type === undefined) {
      type = {
        started: meters.counter("taskq_attempts_started_total", { queue, type: name }),
        attempts: meters.histogram("taskq_attempts", { type: name }),
        ended: new Map(),
      };
      ofQueue.set(name, type);
    }
    return type;
  }

  function endedOf(task: ClaimedTask, { ended }: OfType, outcome: string): Count {
    let count = ended.get(outcome);
    if (count === undefined) {
      const { queue, name: type } = task;
      count = meters.counter("taskq_attempts_ended_total", { queue, type, outcome });
      ended.set(outcome, count);
    }
    return count;
  }

  let state: (() => WorkerState) | undefined;
  readState(meters, () => state?.());
  return {
    started(look) {
      state = look;
    },
    declined(verdicts) {
      for (const { kind } of verdicts) {
        const count = kind === "claimed" ? undefined : claims.get(RESULTS[kind]);
        if (count !== undefined) count.value++;
      }
    },
    attemptStarted(task) {
      const won = claims.get("won");
      if (won !== undefined) won.value++;
      typeOf(task).started.value++;
    },
    attemptEnded(task, kind, recorded) {
      const outcome = outcomeOf(kind, recorded);
      const type = typeOf(task);
      endedOf(task, type, outcome).value++;
      if (outcome === "lost") lost.value++;
      else if (OVER.has(outcome)) type.attempts.note(task.attempt);
    },
    expanded({ queue, name: type }, elements) {
      meters.counter("taskq_tasks_enqueued_total", { queue, type }).value += elements;
    },
    payloadStored: (kind, bytes) => payloads[kind].note(bytes),
    cancelled(sinceMs) {
      aborts.value++;
      latency.note(Math.max(0, sinceMs) / 1_000);
    },
    outlastedGrace: () => void kills.value++,
    heartbeatFailed: (target) => void failures[target].value++,
    databaseRetried(error) {
      meters.counter("taskq_db_retry_total", { code: codes(codeOf(error)) }).value++;
    },
    poisoned(queue, reason) {
      meters.counter("taskq_messages_poisoned_total", { queue, reason }).value++;
    },
    stopped() {},
  };
}

const OVER: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled", "skipped"]);

/** One word for what came of an attempt. What was given back by a drain or after an outage was not tried again because it failed. */
export function outcomeOf(kind: SavedResult["kind"], recorded: SavedResult["recorded"]): string {
  switch (recorded) {
    case "succeeded":
    case "failed":
    case "cancelled":
    case "skipped":
      return recorded;
    case "blocked":
      return "expanded";
    case "queued":
      return kind === "released" ? "released" : "retried";
    case "refused":
    case "nothing":
      return "lost";
  }
}

/** @param look undefined: the worker does not poll yet */
function readState(meters: Meters, look: () => WorkerState | undefined): void {
  meters.read("taskq_worker_slots", () => {
    const state = look();
    if (state === undefined) return [];
    const { running, slots, leakedSlots, draining } = state;
    return [
      { labels: { state: "busy" }, value: running },
      { labels: { state: "free" }, value: draining ? 0 : Math.max(0, slots - running - leakedSlots) },
      { labels: { state: "leaked" }, value: leakedSlots },
    ];
  });
  meters.read("taskq_tasks_running", () => {
    const running = new Map<string, { labels: { queue: string; type: string }; value: number }>();
    for (const { queue, name: type } of look()?.tasks ?? []) {
      const key = `${queue}\n${type}`;
      const series = running.get(key) ?? { labels: { queue, type }, value: 0 };
      series.value++;
      running.set(key, series);
    }
    return running.values();
  });
}
