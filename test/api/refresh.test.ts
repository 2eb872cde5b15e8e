import { expect, onTestFinished, test } from "vitest";
import { REFRESH_QUERY } from "../../runtime/api/refresh.ts";
import { createWatcher, type Watcher } from "../../runtime/api/watcher.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { until } from "../support/until.ts";

/** A watcher whose looks find nothing, and the pauses between them, which last a millisecond. */
function watching(): { readonly watcher: Watcher; readonly pauses: number[] } {
  const pauses: number[] = [];
  const clock: Clock = {
    ...systemClock,
    after: (ms, signal) => {
      pauses.push(ms);
      return systemClock.after(1, signal);
    },
  };
  const watcher = createWatcher({ database: { query: () => Promise.resolve([]) }, clock });
  onTestFinished(watcher.stop);
  return { watcher, pauses };
}

test("looks as often as the most impatient listener asks for", async () => {
  const { watcher, pauses } = watching();
  watcher.listen("a", 1_000);
  await until(() => pauses.at(-1) === 1_000);
  const impatient = watcher.listen("b", 300);
  await until(() => pauses.at(-1) === 300);
  watcher.listen("c", 5_000);
  await until(() => pauses.length > 50);
  expect(pauses.at(-1)).toBe(300);
  impatient.leave();
  await until(() => pauses.at(-1) === 1_000);
});

test("a listener that asks for nothing hears within 200 ms", async () => {
  const { watcher, pauses } = watching();
  watcher.listen("a", 5_000);
  watcher.listen("a");
  await until(() => pauses.at(-1) === 200);
});

test.each([
  ["199", false],
  ["200", true],
  ["5000", true],
  ["5001", false],
  ["1.5", false],
  ["soon", false],
])("refresh_ms %s: %s", (text, isGood) => {
  expect(REFRESH_QUERY.safeParse({ refresh_ms: text }).success).toBe(isGood);
});
