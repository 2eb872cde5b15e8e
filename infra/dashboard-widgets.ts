/**
 * Widgets in the form of CloudWatch's "Dashboard Body Structure and Syntax", and their places on its grid of 24 columns.
 */
import type * as pulumi from "@pulumi/pulumi";
import type { Metric } from "./watched.ts";

/** A line of a graph: a metric, or an expression over lines with ids. */
export type Line = {
  readonly label?: string;
  readonly id?: string;
  /** Drawn, or only there for expressions. Default drawn. */
  readonly hidden?: boolean;
  readonly axis?: "right";
} & ({ readonly metric: Metric } | { readonly expression: string });

export type Graph = {
  readonly title: string;
  readonly lines: readonly Line[];
  /** Title of the left axis, which starts at 0. */
  readonly unit: string;
  readonly stacked?: boolean;
  /** A horizontal line. */
  readonly mark?: { readonly label: string; readonly value: number };
};

/** A widget without its place. */
export type Widget = { readonly type: string; readonly properties: Record<string, unknown> };
export type Row = { readonly height: number; readonly widgets: readonly Widget[] };

const COLUMNS = 24;
const PERIOD_SECONDS = 60;

export function graph(region: pulumi.Input<string>, { title, lines, unit, stacked, mark }: Graph): Widget {
  return {
    type: "metric",
    properties: {
      title,
      region,
      view: "timeSeries",
      stacked: stacked ?? false,
      period: PERIOD_SECONDS,
      stat: "Average",
      metrics: lines.map(metricEntry),
      yAxis: { left: { min: 0, label: unit, showUnits: false } },
      ...(mark === undefined ? {} : { annotations: { horizontal: [mark] } }),
    },
  };
}

export function heading(markdown: pulumi.Input<string>): Row {
  return { height: 1, widgets: [{ type: "text", properties: { markdown } }] };
}

export function alarmStates(title: string, alarms: pulumi.Input<pulumi.Input<string>[]>): Widget {
  return { type: "alarm", properties: { title, alarms } };
}

/** Lines of a log that answer a query of Logs Insights. */
export function logLines(region: pulumi.Input<string>, title: string, query: pulumi.Input<string>): Widget {
  return { type: "log", properties: { title, region, view: "table", query } };
}

/** The widgets of each row share its width; rows follow one another. */
export function placed(rows: readonly Row[]): (Widget & { x: number; y: number; width: number; height: number })[] {
  let y = 0;
  return rows.flatMap(({ height, widgets }) => {
    const width = Math.floor(COLUMNS / widgets.length);
    const row = widgets.map((widget, index) => ({ ...widget, x: index * width, y, width, height }));
    y += height;
    return row;
  });
}

function metricEntry(line: Line): unknown[] {
  const rendering = {
    ...(line.id === undefined ? {} : { id: line.id }),
    ...(line.label === undefined ? {} : { label: line.label }),
    ...(line.hidden === true ? { visible: false } : {}),
    ...(line.axis === undefined ? {} : { yAxis: line.axis }),
  };
  if ("expression" in line) return [{ ...rendering, expression: line.expression }];
  const { namespace, name, dimensions, stat } = line.metric;
  return [namespace, name, ...Object.entries(dimensions).flat(), { ...rendering, stat }];
}
