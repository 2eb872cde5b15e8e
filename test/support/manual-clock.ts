/** A clock that stands still until a test moves it. */
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../runtime/clock.ts";

export type ManualClock = Clock & {
  /** How long each of those who wait asked to wait, in the order they came. */
  readonly waits: readonly number[];
  /** Moves on, waking in order whoever's time comes; what they do at once has been done when it resolves. */
  advance(ms: number): Promise<void>;
};

type Timer = { readonly dueMs: number; readonly ms: number; readonly resolve: () => void };

export function createManualClock({ wallMs = 0 }: { readonly wallMs?: number } = {}): ManualClock {
  let nowMs = 0;
  let timers: Timer[] = [];

  async function advance(ms: number): Promise<void> {
    const targetMs = nowMs + ms;
    for (;;) {
      await setImmediate();
      const [next] = timers.filter(({ dueMs }) => dueMs <= targetMs).toSorted((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      timers = timers.filter((timer) => timer !== next);
      nowMs = Math.max(nowMs, next.dueMs);
      next.resolve();
    }
    nowMs = targetMs;
  }

  return {
    nowMs: () => nowMs,
    wallMs: () => wallMs + nowMs,
    get waits() {
      return timers.map(({ ms }) => ms);
    },
    advance,
    after(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const timer: Timer = { dueMs: nowMs + ms, ms, resolve };
        timers.push(timer);
        signal?.addEventListener("abort", () => {
          timers = timers.filter((one) => one !== timer);
          reject(signal.reason);
        });
      });
    },
  };
}
