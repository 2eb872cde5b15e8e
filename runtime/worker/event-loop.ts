/** Names the inline handlers that hold the event loop: while one computes, no heartbeat of the process can be sent. */

import type { Clock } from "../clock.ts";
import type { Attempt } from "../flow/attempt.ts";
import type { Log } from "../log.ts";

export type EventLoopWatch = { stop(): void };

const TICK_MS = 1_000;
const BLOCKED_MS = 5_000;
const MOST_NAMES = 10;

export function watchEventLoop(parts: {
  readonly attempts: ReadonlyMap<string, Attempt>;
  readonly log: Log;
  readonly clock: Clock;
}): EventLoopWatch {
  const { attempts, log, clock } = parts;
  let lastMs = clock.nowMs();
  let lastCpuUs = cpuUs();
  const timer = setInterval(() => {
    const nowMs = clock.nowMs();
    const usedUs = cpuUs();
    // The block began somewhere in this time, at most a tick after its start.
    const silentMs = nowMs - lastMs;
    // A process that was frozen (SIGSTOP, a paused container) is late as well, but used no CPU meanwhile.
    const busyMs = (usedUs - lastCpuUs) / 1_000;
    lastMs = nowMs;
    lastCpuUs = usedUs;
    if (silentMs < BLOCKED_MS || busyMs < silentMs / 4) return;
    const tasks = [...new Set([...attempts.values()].map((attempt) => attempt.task.name))].slice(0, MOST_NAMES);
    log.warn("eventloop.blocked", { blockedMs: Math.round(silentMs), tasks });
  }, TICK_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
