/** One line of the demo, redrawn on a terminal: how much of the work is where. Nowhere else is anything written. */

export type DemoProgress = { readonly finished: number; readonly running: number; readonly queued: number };

const BAR_COLUMNS = 20;
const CLEAR_TO_END = "\u001b[K";

export function drawProgress({ finished, running, queued }: DemoProgress): void {
  if (!process.stdout.isTTY) return;
  const count = finished + running + queued;
  const bar = "█".repeat(Math.round((finished / Math.max(1, count)) * BAR_COLUMNS)).padEnd(BAR_COLUMNS, "░");
  process.stdout.write(`\r${bar} ${finished}/${count} finished, ${running} running, ${queued} waiting${CLEAR_TO_END}`);
}

/** What is written next begins a line of its own. */
export function endProgress(): void {
  if (process.stdout.isTTY) process.stdout.write("\n");
}
