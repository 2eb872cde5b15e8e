/** A chart over time, drawn on a canvas: the lines of a model, or stacked bars. What it shows is also told in words. */
import "./time-chart.css";
import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import { useTheme } from "../theme/theme.tsx";
import type { ChartModel } from "./chart-model.ts";
import { chartData, chartOptions } from "./chart-options.ts";

export type TimeChartProps = {
  readonly model: ChartModel;
  readonly kind: "bars" | "lines";
  /** What it shows, with its main figure. */
  readonly label: string;
  readonly valueText: (value: number) => string;
};

export const CHART_PX = 190;

export default function TimeChart({ model, kind, label, valueText }: TimeChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(model);
  const [at, setAt] = useState<number | null>(null);
  const { shown: theme } = useTheme();
  const names = model.lines.map(({ name }) => name).join();

  // Made anew when its colours or lines change, which is rare; new points are only handed in.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme stands in the styles that are read, the names in the model
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const options = chartOptions(latest.current, {
      kind,
      valueText,
      styles: getComputedStyle(element),
      onPoint: setAt,
    });
    const made = new uPlot(
      { ...options, width: element.clientWidth, height: CHART_PX },
      chartData(latest.current, kind),
      element,
    );
    plot.current = made;
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: CHART_PX }));
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [kind, theme, names, valueText]);

  useEffect(() => {
    latest.current = model;
    plot.current?.setData(chartData(model, kind));
  }, [model, kind]);

  const time = at === null ? undefined : model.times[at];
  return (
    <figure className="time-chart">
      <figcaption className="time-legend">
        {model.lines.map(({ name, tone, values }) => (
          <span key={name}>
            <i style={{ background: `var(--${tone})` }} />
            {name}
            {at !== null && <strong>{textAt(values[at], valueText)}</strong>}
          </span>
        ))}
        {time !== undefined && <span className="faint">{new Date(time * 1_000).toLocaleTimeString()}</span>}
      </figcaption>
      <div ref={box} role="img" aria-label={label} style={{ height: CHART_PX }} />
    </figure>
  );
}

function textAt(value: number | null | undefined, valueText: (value: number) => string): string {
  return value === null || value === undefined ? "–" : valueText(value);
}
