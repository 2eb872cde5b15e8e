/** How uPlot draws a chart of ours. */
import uPlot from "uplot";
import { type ChartModel, stacked } from "./chart-model.ts";

export type ChartLook = {
  readonly kind: "bars" | "lines";
  readonly valueText: (value: number) => string;
  /** Where the colours are read from: a canvas knows no variables. */
  readonly styles: CSSStyleDeclaration;
  /** Hears which point the pointer is at; null: none. */
  readonly onPoint: (index: number | null) => void;
};

/** Bars fill so much of their interval. */
const BAR_SHARE = 0.82;
const BAR_MAX_PX = 14;
const AXIS_PX = 54;
const SYNC = "overview";

export function chartData({ times, lines }: ChartModel, kind: ChartLook["kind"]): uPlot.AlignedData {
  // The whole stack first, so that each part covers the end of the one behind it.
  const rows = kind === "bars" ? stacked(lines) : lines.map(({ values }) => values);
  return [[...times], ...rows.toReversed().map((row) => [...row])];
}

export function chartOptions(
  { lines }: ChartModel,
  { kind, valueText, styles, onPoint }: ChartLook,
): Omit<uPlot.Options, "width" | "height"> {
  const colour = (name: string) => styles.getPropertyValue(`--${name}`).trim();
  const grid = { stroke: colour("border"), width: 1 };
  const axis = { stroke: colour("text-3"), font: "11px system-ui, sans-serif", grid, ticks: { show: false } };
  // The first line lies on top.
  const drawn = lines.toReversed();
  return {
    legend: { show: false },
    padding: [8, 4, 0, 0],
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: { show: kind === "lines", size: 6 },
      sync: { key: SYNC },
    },
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, niceTop(most)] } },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: 22, gap: 6, values: (_, splits) => splits.map(clockText) },
      { ...axis, size: AXIS_PX, space: 40, values: (_, splits) => splits.map(valueText) },
    ],
    series: [
      {},
      ...drawn.map(({ tone }) =>
        kind === "bars"
          ? { fill: colour(tone), width: 0, points: { show: false }, paths: bars() }
          : {
              stroke: colour(tone),
              width: 1.6,
              points: { show: true, size: 4, width: 0, fill: colour(tone), filter: lonely },
            },
      ),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

function bars(): uPlot.Series.PathBuilder {
  const builder = uPlot.paths.bars?.({ size: [BAR_SHARE, BAR_MAX_PX], radius: 0.1 });
  if (builder === undefined) throw new Error("expected uPlot with bars");
  return builder;
}

/** Where there is nothing, an axis all the same. */
function niceTop(most: number | null): number {
  return most === null || most <= 0 ? 1 : most * 1.08;
}

function clockText(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleTimeString(undefined, {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
}

/** Points without a neighbour, which no line shows. */
function lonely(plot: uPlot, line: number): number[] {
  const values = plot.data[line] ?? [];
  const isThere = (index: number) => values[index] !== null && values[index] !== undefined;
  return [...values.keys()].filter((index) => isThere(index) && !isThere(index - 1) && !isThere(index + 1));
}
