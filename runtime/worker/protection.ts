/**
 * Keeps ECS from stopping this worker for a scale-in or a deployment while long work runs.
 *
 *   idle ──► asking ──► protected ──► idle         an attempt has run for `afterMs`; 15 s after the last such one ended
 *              ▲ └──────────┤ every 5 min          renewed, as it lapses after 15 min
 *              └─ refused ◄─┘                      asked again after a pause, which grows to a minute
 *                    └─ `limitMs` ──► exhausted    the worker drains, so that the deployment can go on
 *
 * The same limit holds while a worker of a newer revision is alive: ECS would renew the protection of an old one for ever.
 *
 * ECS refuses when more of the service's tasks are protected than it is to have (DEPLOYMENT_BLOCKED): it wants to replace workers or to
 * have fewer. Every other failure says nothing about deployments: it is logged once, asked again, and never ends the worker.
 * A process that dies leaves its protection to lapse. Protection does not help against Spot interruptions or a manual stop.
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
 */

import type { Clock } from "../clock.ts";
import type { Attempt } from "../flow/attempt.ts";
import type { Log } from "../log.ts";
import { type AgentAnswer, askAgent } from "./protection-agent.ts";

export type Protection = {
  /** Follows the attempts of a worker from now on. `giveUp` is called at most once: take no new work and stop. */
  start(worker: ProtectedWorker): void;
  /** Ends the protection and asks no more. Resolves within 3 s, whatever the agent does. */
  stop(): Promise<void>;
};

export type ProtectedWorker = {
  readonly attempts: ReadonlyMap<string, Pick<Attempt, "startedMs">>;
  /** A worker of a newer revision is alive: a deployment is under way, or over but for workers such as this. */
  isOutdated(): boolean;
  giveUp(): void;
};

export type ProtectionParts = {
  /** `ECS_AGENT_URI`; null: not on ECS, and nothing is asked. */
  readonly agentUrl: string | null;
  /** An attempt that has run this long protects its worker. */
  readonly afterMs: number;
  /** How long a deployment may wait for this worker. */
  readonly limitMs: number;
  readonly log: Log;
  readonly clock: Clock;
};

const LOOK_MS = 1_000;
const RENEW_MS = 300_000;
const EXPIRES_MINUTES = 15;
const EXPIRES_MS = EXPIRES_MINUTES * 60_000;
/** Long work that follows soon is spared a call to clear and one to set. */
const CLEAR_AFTER_MS = 15_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
const STOP_MS = 3_000;

export function createProtection({ agentUrl, afterMs, limitMs, log, clock }: ProtectionParts): Protection {
  if (agentUrl === null) return { start: () => {}, stop: async () => {} };
  const agent = { url: agentUrl, clock };
  const stopping = new AbortController();
  let watching: Promise<void> = Promise.resolve();
  /** False only when the agent has said so: a call without an answer may have protected us. */
  let maybeProtected = false;
  let protectedSinceMs: number | null = null;
  let provenMs = Number.NEGATIVE_INFINITY;
  let refusedSinceMs: number | null = null;
  let outdatedSinceMs: number | null = null;
  let failures = 0;
  let failureLogged = false;
  let askAgainMs = Number.NEGATIVE_INFINITY;
  let lastSetMs = Number.NEGATIVE_INFINITY;
  let lastLongMs = Number.NEGATIVE_INFINITY;

  async function watch(worker: ProtectedWorker): Promise<void> {
    while (!stopping.signal.aborted) {
      if (await exhausted(worker)) {
        worker.giveUp();
        return;
      }
      await clock.after(LOOK_MS, stopping.signal).catch(() => {});
    }
  }

  /** One look. True when the deployment has waited long enough. */
  async function exhausted({ attempts, isOutdated }: ProtectedWorker): Promise<boolean> {
    const nowMs = clock.nowMs();
    if (!isOutdated()) outdatedSinceMs = null;
    else outdatedSinceMs ??= nowMs;
    const long = [...attempts.values()].some((attempt) => nowMs - attempt.startedMs >= afterMs);
    if (long) {
      lastLongMs = nowMs;
      // ECS goes on renewing the protection of an old worker, however long a newer one waits for its place.
      if (nowMs - (outdatedSinceMs ?? nowMs) >= limitMs) {
        log.warn("protection.exhausted", { outdatedMs: Math.round(nowMs - (outdatedSinceMs ?? nowMs)) });
        return true;
      }
      if (nowMs < Math.max(askAgainMs, provenMs + RENEW_MS)) return false;
      return (await ask(true)) === "refused" && isExhausted();
    }
    if (nowMs - lastLongMs < CLEAR_AFTER_MS) return false;
    refusedSinceMs = null;
    // Lapsed by itself, whatever became of the calls.
    if (nowMs - lastSetMs >= EXPIRES_MS) maybeProtected = false;
    if (maybeProtected && nowMs >= askAgainMs) await ask(false);
    return false;
  }

  async function ask(protect: boolean): Promise<AgentAnswer["kind"]> {
    const askedMs = clock.nowMs();
    if (protect) [maybeProtected, lastSetMs] = [true, askedMs];
    const answer = await askAgent(agent, protect ? { protect, expiresMinutes: EXPIRES_MINUTES } : { protect });
    switch (answer.kind) {
      case "done":
        [failures, failureLogged, refusedSinceMs, askAgainMs] = [0, false, null, askedMs];
        if (!protect || protectedSinceMs === null) log.debug("protection.changed", { protected: protect });
        maybeProtected = protect;
        protectedSinceMs = protect ? (unbrokenSince(askedMs) ?? askedMs) : null;
        provenMs = protect ? askedMs : Number.NEGATIVE_INFINITY;
        return answer.kind;
      case "refused":
        if (refusedSinceMs === null) {
          log.warn("protection.refused", { detail: answer.detail, protectedMs: protectedFor(askedMs) });
        }
        refusedSinceMs ??= askedMs;
        failureLogged = false;
        break;
      case "failed":
        if (!failureLogged) log.warn("protection.failed", { protect, code: answer.code, detail: answer.detail });
        failureLogged = true;
        break;
    }
    failures++;
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
    askAgainMs = clock.nowMs() + pauseMs * (0.5 + Math.random() / 2);
    return answer.kind;
  }

  /** Asked after a refusal only: a failure does not say that a deployment still waits. */
  function isExhausted(): boolean {
    const nowMs = clock.nowMs();
    const refusedMs = Math.round(nowMs - (refusedSinceMs ?? nowMs));
    const protectedMs = protectedFor(nowMs);
    if (Math.max(refusedMs, protectedMs) < limitMs) return false;
    log.warn("protection.exhausted", { refusedMs, protectedMs });
    return true;
  }

  /** Null once it has lapsed: ECS ends what is not renewed. */
  function unbrokenSince(nowMs: number): number | null {
    return nowMs - provenMs < EXPIRES_MS ? protectedSinceMs : null;
  }

  function protectedFor(nowMs: number): number {
    return Math.round(nowMs - (unbrokenSince(nowMs) ?? nowMs));
  }

  async function clear(): Promise<void> {
    await watching;
    if (maybeProtected) await ask(false);
  }

  return {
    start(worker) {
      watching = watch(worker);
    },
    async stop() {
      stopping.abort();
      const done = new AbortController();
      await Promise.race([clear(), clock.after(STOP_MS, done.signal).catch(() => {})]);
      done.abort();
    },
  };
}
