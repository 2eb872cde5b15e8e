/** Round numbers for the axis of a timeline, counted from the beginning of the run: a run is asked how long, seldom at what time of day. */

export type Tick = { readonly atMs: number; readonly text: string };

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS_MS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
];

/** @param spanMs of the whole axis  @param most how many there is room for, at least 1 */
export function ticksOf(spanMs: number, most: number): readonly Tick[] {
  const least = spanMs / Math.max(1, most);
  const stepMs = STEPS_MS.find((step) => step >= least) ?? DAY * Math.ceil(least / DAY);
  return Array.from({ length: Math.floor(spanMs / stepMs) + 1 }, (_, at) => ({
    atMs: at * stepMs,
    text: textOf(at * stepMs, stepMs),
  }));
}

function textOf(atMs: number, stepMs: number): string {
  if (atMs === 0) return "0";
  if (stepMs < SECOND && atMs < SECOND) return `${atMs} ms`;
  if (atMs < MINUTE) return `${trimmed(atMs / SECOND)} s`;
  if (atMs < HOUR) return pair(atMs, MINUTE, "m", SECOND, "s");
  return atMs < DAY ? pair(atMs, HOUR, "h", MINUTE, "m") : pair(atMs, DAY, "d", HOUR, "h");
}

function pair(ms: number, large: number, largeUnit: string, small: number, smallUnit: string): string {
  const rest = trimmed((ms % large) / small);
  return `${Math.floor(ms / large)}${largeUnit}${rest === "0" ? "" : ` ${rest}${smallUnit}`}`;
}

function trimmed(value: number): string {
  return String(Math.round(value * 1_000) / 1_000);
}
