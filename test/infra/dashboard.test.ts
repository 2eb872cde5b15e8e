import { describe, expect, it } from "vitest";
import { Dashboard, type DashboardArgs } from "../../infra/dashboard.ts";
import { METRICS } from "../../runtime/metrics/names.ts";
import { deploy, REGION } from "./support.ts";
import { WATCHED } from "./watched-stack.ts";

type Widget = {
  type: string;
  x: number;
  y: number;
  width: number;
  height: number;
  properties: Record<string, unknown>;
};
type Body = { start: string; widgets: Widget[] };
type MetricEntry = (string | Record<string, unknown>)[];

async function bodyOf(args: Partial<DashboardArgs> = {}): Promise<Body> {
  const { find } = await deploy(() => {
    new Dashboard("dashboard", { ...WATCHED, region: REGION, ...args });
    return {};
  });
  return JSON.parse(String(find("aws:cloudwatch/dashboard:Dashboard").inputs.dashboardBody)) as Body;
}

const titles = ({ widgets }: Body) =>
  widgets.map(({ properties }) => properties.title ?? String(properties.markdown).replace("## ", "# "));

const entriesOf = ({ widgets }: Body): MetricEntry[] =>
  widgets.flatMap(({ type, properties }) => (type === "metric" ? (properties.metrics as MetricEntry[]) : []));

describe("the dashboard", () => {
  it("goes from what users feel to what causes it", async () => {
    expect(titles(await bodyOf({ alarmArns: ["arn:aws:cloudwatch:us-east-1:111122223333:alarm:a"] }))).toEqual([
      "Alarms",
      "# Promises",
      "Oldest task",
      "Waits and runs",
      "Outcomes a minute",
      "Dead letters",
      "# Flow",
      "Backlog",
      "Queues",
      "Messages a minute",
      "Outbox",
      "# Workers",
      "Workers",
      "Slots",
      "Trouble in workers",
      "CPU and memory, worker",
      "# Database",
      "Connections",
      "Load",
      "Latency",
      "Disk",
      "Left",
      "Transaction ids in use",
      "# API",
      "Requests a minute",
      "Response time",
      "Containers behind the load balancer",
      "CPU and memory, api",
      "# Deployments and errors",
      "Starts and stops",
      "Errors by event",
    ]);
  });

  it("leaves out what a stack lacks", async () => {
    const { loadBalancer: _, ...unbalanced } = WATCHED;
    const shown = await bodyOf({ database: null });
    expect(titles(shown)).not.toContain("# Database");
    expect(titles(shown)).not.toContain("Alarms");
    const { find } = await deploy(() => {
      new Dashboard("dashboard", { ...unbalanced, region: REGION });
      return {};
    });
    expect(find("aws:cloudwatch/dashboard:Dashboard").inputs.dashboardBody).not.toContain("ApplicationELB");
  });

  it("is named after its stack, and its address is the console's in each partition", async () => {
    const urlIn = async (region: string) => {
      const { outputs, find } = await deploy(() => ({
        url: new Dashboard("dashboard", { ...WATCHED, region }).url,
      }));
      expect(find("aws:cloudwatch/dashboard:Dashboard").inputs.dashboardName).toBe("taskiq-test");
      return outputs.url;
    };
    const path = (region: string) => `/cloudwatch/home?region=${region}#dashboards/dashboard/taskiq-test`;
    expect(await urlIn("eu-central-1")).toBe(`https://eu-central-1.console.aws.amazon.com${path("eu-central-1")}`);
    expect(await urlIn("cn-north-1")).toBe(`https://cn-north-1.console.amazonaws.cn${path("cn-north-1")}`);
    expect(await urlIn("us-gov-west-1")).toBe(
      `https://us-gov-west-1.console.amazonaws-us-gov.com${path("us-gov-west-1")}`,
    );
  });
});

// "Dashboard Body Structure and Syntax", CloudWatch API reference.
describe("the body is what CloudWatch documents", () => {
  it("in its places: a grid of 24 columns, no widget over another", async () => {
    const { widgets, start } = await bodyOf({ alarmArns: ["arn:aws:cloudwatch:us-east-1:111122223333:alarm:a"] });
    expect(start).toMatch(/^-PT\d+H$/);
    expect(widgets.length).toBeLessThanOrEqual(500);
    const taken = new Set<string>();
    for (const { x, y, width, height } of widgets) {
      expect(width).toBeGreaterThanOrEqual(1);
      expect(height).toBeGreaterThanOrEqual(1);
      expect(x + width).toBeLessThanOrEqual(24);
      for (let column = x; column < x + width; column++) {
        for (let line = y; line < y + height; line++) {
          expect(taken).not.toContain(`${column},${line}`);
          taken.add(`${column},${line}`);
        }
      }
    }
  });

  it("in its widgets: each type has its required properties and no unknown ones", async () => {
    const required: Record<string, string[]> = {
      text: ["markdown"],
      alarm: ["alarms"],
      log: ["query", "region"],
      metric: ["metrics", "region"],
    };
    const optional: Record<string, string[]> = {
      text: [],
      alarm: ["title"],
      log: ["title", "view"],
      metric: ["title", "view", "stacked", "period", "stat", "yAxis", "annotations"],
    };
    for (const { type, properties } of (await bodyOf({ alarmArns: ["arn"] })).widgets) {
      expect(Object.keys(properties)).toEqual(expect.arrayContaining(required[type] ?? ["an unknown type"]));
      const known = [...(required[type] ?? []), ...(optional[type] ?? [])];
      expect(Object.keys(properties).filter((key) => !known.includes(key))).toEqual([]);
      for (const value of Object.values(properties)) expect(value).not.toBeNull();
    }
  });

  it("in its metrics: namespace, name, pairs of dimensions, then how to draw it", async () => {
    const entries = entriesOf(await bodyOf());
    expect(entries.length).toBeGreaterThan(50);
    const known = ["id", "label", "visible", "yAxis", "stat", "expression"];
    for (const entry of entries) {
      const rendering = entry.at(-1) as Record<string, unknown>;
      expect(Object.keys(rendering).filter((key) => !known.includes(key))).toEqual([]);
      if ("expression" in rendering) {
        expect(entry).toHaveLength(1);
        continue;
      }
      const texts = entry.slice(0, -1);
      expect(texts.length % 2).toBe(0);
      expect(texts.length).toBeGreaterThanOrEqual(4);
      expect(texts.every((text) => typeof text === "string" && text !== "")).toBe(true);
      expect(String(rendering.stat)).toMatch(/^(Average|Sum|Minimum|Maximum|p\d+)$/);
    }
  });

  it("in its graphs: at most 100 lines, and expressions over lines that are there", async () => {
    for (const { type, properties } of (await bodyOf()).widgets) {
      if (type !== "metric") continue;
      const lines = properties.metrics as MetricEntry[];
      expect(lines.length).toBeGreaterThanOrEqual(1);
      expect(lines.length).toBeLessThanOrEqual(100);
      const renderings = lines.map((entry) => entry.at(-1) as { id?: string; expression?: string });
      const ids = renderings.flatMap(({ id }) => id ?? []);
      expect(new Set(ids).size).toBe(ids.length);
      for (const { expression } of renderings) {
        for (const name of expression?.match(/\b[a-z]\w*\b/g) ?? []) expect(ids).toContain(name);
      }
    }
  });

  it("in its logs: a query over the stack's own groups", async () => {
    const logs = (await bodyOf()).widgets.filter(({ type }) => type === "log");
    expect(logs).toHaveLength(2);
    for (const { properties } of logs) {
      expect(properties.query).toMatch(
        /^SOURCE '\/taskiq\/taskiq-test\/api' \| SOURCE '\/taskiq\/taskiq-test\/worker' \| /,
      );
    }
  });
});

it("shows how long tasks waited and ran as percentiles, never as averages", async () => {
  const durations = entriesOf(await bodyOf()).filter(
    ([, name]) => name === "QueueWaitSeconds" || name === "RunSeconds",
  );
  expect(durations.map(([, name, , , rendering]) => [name, (rendering as { stat: string }).stat])).toEqual([
    ["QueueWaitSeconds", "p50"],
    ["QueueWaitSeconds", "p95"],
    ["QueueWaitSeconds", "p99"],
    ["RunSeconds", "p50"],
    ["RunSeconds", "p95"],
    ["RunSeconds", "p99"],
  ]);
});

it("shows only metrics of ours that the runtime writes", async () => {
  const own = entriesOf(await bodyOf()).filter(([namespace]) => namespace === "taskiq");
  expect(own.length).toBeGreaterThan(10);
  for (const [, name, ...rest] of own) {
    expect(Object.keys(METRICS)).toContain(name);
    expect(rest.slice(0, -1)).toEqual(["Stack", "taskiq-test"]);
  }
});
