import { expect, it } from "vitest";
import { systemClock } from "../runtime/clock.ts";

it("waits at least as long as it was asked to, on the clock that never steps back", async () => {
  const start = systemClock.nowMs();
  await systemClock.after(20);
  // Timers count whole milliseconds, the clock finer ones.
  expect(systemClock.nowMs() - start).toBeGreaterThanOrEqual(19);
});

it("stops waiting as soon as the signal is aborted", async () => {
  const stop = new AbortController();
  const waiting = systemClock.after(3_600_000, stop.signal);
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
  await expect(systemClock.after(3_600_000, stop.signal)).rejects.toMatchObject({ name: "AbortError" });
});

it("tells the time of day in milliseconds since 1970", () => {
  expect(Math.abs(systemClock.wallMs() - Date.now())).toBeLessThan(1_000);
});
