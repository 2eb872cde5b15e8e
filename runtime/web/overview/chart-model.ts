/** The points of the overview as columns for charts. Pure. */
import type { Overview } from "../../client/index.ts";
import type { Tone } from "../components/state-badge.tsx";

type Point = Overview["points"][number];

export type Line = {
  readonly name: string;
  readonly tone: Tone;
  /** One for each time; null: nothing is known. */
  readonly values: readonly (number | null)[];
};

export type ChartModel = {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
};

/** How many ended how, in each interval. */
export function endedModel(points: readonly Point[]): ChartModel {
  const line = (name: "succeeded" | "failed" | "cancelled" | "skipped"): Line => ({
    name,
    tone: name,
    values: points.map((point) => point[name]),
  });
  const lines = [line("succeeded"), line("failed"), line("cancelled"), line("skipped")];
  // Rare ones would only fill the legend.
  return {
    times: timesOf(points),
    lines: lines.filter(({ name, values }) => name === "succeeded" || name === "failed" || values.some(Boolean)),
  };
}

/** @param what how long tasks waited, or ran, in milliseconds */
export function percentileModel(points: readonly Point[], what: "wait" | "run"): ChartModel {
  const line = (name: string, tone: Tone, key: "P50Ms" | "P95Ms" | "P99Ms"): Line => ({
    name,
    tone,
    values: points.map((point) => point[`${what}${key}`]),
  });
  return {
    times: timesOf(points),
    lines: [line("p50", "running", "P50Ms"), line("p95", "blocked", "P95Ms"), line("p99", "queued", "P99Ms")],
  };
}

/** Each line on top of those before it; the first ones are those to be drawn last. */
export function stacked(lines: readonly Line[]): readonly (readonly number[])[] {
  const sums: number[][] = [];
  for (const { values } of lines) {
    const below = sums.at(-1);
    sums.push(values.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)));
  }
  return sums;
}

/** Tasks a second over the last whole minute. The last interval is not over, so it is left out. */
export function ratePerSecond({ points, intervalSeconds }: Pick<Overview, "points" | "intervalSeconds">): number {
  const count = Math.max(1, Math.round(60 / intervalSeconds));
  const minute = points.slice(0, -1).slice(-count);
  const ended = minute.reduce(
    (sum, { succeeded, failed, cancelled, skipped }) => sum + succeeded + failed + cancelled + skipped,
    0,
  );
  return ended / (count * intervalSeconds);
}

/** Of what succeeded or failed, 0..1; null where nothing did. */
export function successShare({ succeeded, failed }: Pick<Point, "succeeded" | "failed">): number | null {
  return succeeded + failed === 0 ? null : succeeded / (succeeded + failed);
}

function timesOf(points: readonly Point[]): number[] {
  return points.map(({ at }) => at.getTime() / 1_000);
}
