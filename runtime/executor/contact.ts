/**
 * How long this process has had unbroken contact with the database.
 *
 * After an outage every lease has run out although the workers are well. Whoever reaps must first have been in contact for a
 * whole lease: until then the owners extend, finish or give back, at no cost.
 */

import type { Clock } from "../clock.ts";

export type Contact = {
  /** The database has answered just now. */
  kept(): void;
  /** It has not. */
  broken(): void;
  /** Milliseconds without a break; 0 when there is no contact. */
  unbrokenMs(): number;
};

/** @param maxGapMs longest silence that is not a break: this process may have been frozen meanwhile */
export function createContact(clock: Clock, maxGapMs: number): Contact {
  let sinceMs: number | null = null;
  let lastMs = 0;
  return {
    kept() {
      const nowMs = clock.nowMs();
      if (sinceMs === null || nowMs - lastMs > maxGapMs) sinceMs = nowMs;
      lastMs = nowMs;
    },
    broken() {
      sinceMs = null;
    },
    unbrokenMs: () => (sinceMs === null || clock.nowMs() - lastMs > maxGapMs ? 0 : clock.nowMs() - sinceMs),
  };
}
