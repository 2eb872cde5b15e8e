import { describe, expect, it } from "vitest";
import { costReport, spread, TARGET } from "../../bench/cost.ts";
import { STACKS, valuesOf } from "../../bench/cost-stacks.ts";
import { alarmMetrics, customMetrics, idleCost, lineBytes } from "../../bench/idle-cost.ts";
import { type Measured, published, readMeasured } from "../../bench/measured.ts";
import { databasePrice, PRICES } from "../../bench/prices.ts";
import { taskCost, total, wayOf } from "../../bench/task-cost.ts";
import { RULES } from "../../infra/config-rules.ts";

const stack = (config: Record<string, unknown> = {}) => valuesOf({ name: "test", config });

/** Round numbers, so that each expectation can be worked out by hand. */
const MEASURED: Measured = {
  requests: 0.5,
  statements: 0.1,
  workerMicros: 60,
  databaseMicros: 80,
  submitMicros: 30,
  queueBytes: 1_000,
  databaseBytes: 1_000,
  storedBytes: 500,
};

describe("the stacks that are costed", () => {
  it.each(STACKS)("are configurations that the program takes: $name", (one) => {
    const values = valuesOf(one);
    expect(RULES.filter((rule) => !rule.holds(values, "production")).map(({ name }) => name)).toEqual([]);
  });

  it("refuse a key that Pulumi.yaml does not have", () => {
    expect(() => stack({ workerMaximum: 3 })).toThrow('got "workerMaximum"');
  });
});

describe("an idle month", () => {
  it("is 730 hours of every container that runs all the time", () => {
    const cost = idleCost(stack({ apiMin: 3, apiCpu: 512, apiMemory: 1_024, workerMin: 1 }));
    expect(cost["API containers"]).toBeCloseTo(3 * 730 * (0.5 * 0.03238 + 1 * 0.00356), 6);
    expect(cost["worker containers"]).toBeCloseTo(730 * (0.03238 + 2 * 0.00356), 6);
  });

  it("costs more on x86", () => {
    const arm = idleCost(stack())["API containers"];
    const x86 = idleCost(stack({ cpuArchitecture: "X86_64" }))["API containers"];
    expect(x86 / arm).toBeCloseTo((0.5 * 0.04048 + 0.004445) / (0.5 * 0.03238 + 0.00356), 6);
  });

  it("has instance and disk of the database twice with a standby, and none where the database exists", () => {
    const one = idleCost(stack()).database;
    expect(one).toBeCloseTo(730 * 0.065 + 20 * 0.115, 6);
    expect(idleCost(stack({ databaseMultiAz: true })).database).toBeCloseTo(2 * one, 6);
    expect(idleCost(stack({ databaseUrl: "postgres://taskiq@db.example.com/taskiq" })).database).toBe(0);
  });

  it("has one NAT gateway with its address, one in each zone, endpoints in two zones, or nothing", () => {
    const way = (config: Record<string, unknown>) => idleCost(stack(config))["way to AWS"];
    expect(way({})).toBeCloseTo(730 * 0.05, 6);
    expect(way({ natGateways: "one-per-az" })).toBeCloseTo(2 * 730 * 0.05, 6);
    const zones = ["us-east-1a", "us-east-1b", "us-east-1c"];
    expect(way({ natGateways: "one-per-az", availabilityZones: zones })).toBeCloseTo(3 * 730 * 0.05, 6);
    expect(way({ natGateways: "none" })).toBeCloseTo(6 * 2 * 730 * 0.01, 6);
    expect(way({ vpcId: "default", apiMin: 1, workerMin: 2 })).toBeCloseTo(3 * 730 * 0.005, 6);
    expect(way({ vpcId: "vpc-0a1b2c3d" })).toBe(0);
  });

  it("pays for addresses of a load balancer on the Internet", () => {
    const difference = idleCost(stack({ publicApi: true }))["load balancer"] - idleCost(stack())["load balancer"];
    expect(difference).toBeCloseTo(2 * 730 * 0.005, 6);
  });

  it("counts alarms by the metrics they read, and those that Application Auto Scaling makes", () => {
    const only = { alarms: false, scalingDriver: "off" };
    expect(alarmMetrics(stack({ ...only, apiMin: 2, apiMax: 2 }))).toBe(0);
    expect(alarmMetrics(stack({ ...only, apiMin: 2, apiMax: 3 }))).toBe(2);
    // Backlog; age, running and slots; backlog, running and slots.
    expect(alarmMetrics(stack({ alarms: false, apiMin: 2, apiMax: 2 }))).toBe(7);
    expect(alarmMetrics(stack())).toBeGreaterThan(alarmMetrics(stack({ queues: [{ name: "default" }] })));
  });

  it("counts metrics of queues once for each queue that is polled, and none of workers where none runs", () => {
    const one = customMetrics(stack({ queues: [{ name: "default" }] }));
    expect(customMetrics(stack({ queues: [{ name: "default" }, { name: "mail" }] }))).toBe(one + 3);
    expect(customMetrics(stack({ queues: [{ name: "default" }, { name: "ordered", type: "fifo" }] }))).toBe(one);
    expect(customMetrics(stack({ queues: [{ name: "default" }], workerMin: 0 }))).toBe(one - 9);
  });

  it("has lines of metrics of a size that CloudWatch takes", () => {
    for (const of of ["worker", "executor", "queue"] as const) {
      expect(lineBytes(of)).toBeGreaterThan(200);
      expect(lineBytes(of)).toBeLessThan(2_000);
    }
  });
});

describe("a million tasks", () => {
  it("costs requests, bytes, rows, and the CPU that is used", () => {
    const cost = taskCost(stack(), MEASURED);
    expect(cost["SQS requests"]).toBeCloseTo(0.5 * 0.4, 9);
    expect(cost["data to and from SQS"]).toBeCloseTo(1 * 1.1 * 0.045, 9);
    expect(cost["rows kept"]).toBeCloseTo(0.5 * 2 * ((30 * 24) / 730) * 0.115, 9);
    expect(cost["data between zones"]).toBeCloseTo(1 * 1.1 * 0.5 * 0.02, 9);
    // 60 s of CPU, of which 0.6 is used: 100 s of one vCPU with 2 GB.
    expect(cost["worker CPU"]).toBeCloseTo((100 / 3_600) * (0.03238 + 2 * 0.00356), 9);
    expect(cost["API CPU"]).toBeCloseTo((50 / 3_600) * (0.03238 + 2 * 0.00356), 9);
    expect(cost["database CPU"]).toBeCloseTo((200 / 3_600) * (0.065 / 2), 9);
    expect(cost["load balancer"]).toBeCloseTo(0.2 * 0.008, 9);
  });

  it("costs rows and CPU of the database twice with a standby", () => {
    const [one, two] = [taskCost(stack(), MEASURED), taskCost(stack({ databaseMultiAz: true }), MEASURED)];
    expect(two["rows kept"]).toBeCloseTo(2 * one["rows kept"], 9);
    expect(two["database CPU"]).toBeCloseTo(2 * one["database CPU"], 9);
    expect(total(two)).toBeCloseTo(total(one) + one["rows kept"] + one["database CPU"], 9);
  });

  it("reaches SQS by the way that the stack has", () => {
    expect(wayOf(stack())).toBe("NAT gateway");
    expect(wayOf(stack({ natGateways: "none" }))).toBe("endpoint");
    expect(wayOf(stack({ vpcId: "default" }))).toBe("public address");
    // Whether a VPC that exists has an endpoint is not known: the dearer way is shown.
    expect(wayOf(stack({ vpcId: "vpc-0a1b2c3d", natGateways: "none" }))).toBe("NAT gateway");
    expect(taskCost(stack({ vpcId: "default" }), MEASURED)["data to and from SQS"]).toBe(0);
  });

  it("shares the idle stack with all other tasks of the month", () => {
    // 2.628 million seconds in 730 hours.
    expect(spread(262.8, 1)).toBeCloseTo(100, 9);
    expect(spread(262.8, 100)).toBeCloseTo(1, 9);
  });
});

describe("the figures", () => {
  it("are those that bench/README.md publishes", () => {
    const table = [
      "| worker CPU a task (bare loop: 81 µs) | ≤ 180 µs | 71 µs |",
      "| Postgres CPU a task; with submitting | – | 57 µs; 82 µs |",
      "| SQS requests a task at saturation, sending included | ≤ 0.33 | 0.300 |",
      "| SQL statements a task at saturation, submitting included | ≤ 0.4 | 0.067 |",
    ];
    const expected = { workerMicros: 71, databaseMicros: 82, requests: 0.3, statements: 0.067 };
    expect(published(table.join("\n"))).toEqual(expected);
    expect(() => published(table.slice(1).join("\n"))).toThrow('a table row that starts with "worker CPU a task"');
    expect(() => published(table.join("\n").replace("71 µs", "soon"))).toThrow('got "soon"');
  });

  it("are all there, and none is negative", () => {
    for (const [name, value] of Object.entries(readMeasured())) expect(value, name).toBeGreaterThan(0);
  });

  it("have a price with a unit and a source each", () => {
    for (const [name, price] of Object.entries(PRICES)) {
      expect(price.usd, name).toBeGreaterThan(0);
      expect(price.unit, name).not.toBe("");
      expect(price.source, name).toMatch(/quoted by/);
    }
    expect(() => databasePrice("db.x2g.large")).toThrow("Add its price to bench/prices.ts");
  });
});

describe("the report", () => {
  it("says of each stack whether a million tasks stay within the target", () => {
    const cheap = costReport({ ...MEASURED, queueBytes: 0, storedBytes: 0, requests: 0.1 });
    const dear = costReport({ ...MEASURED, requests: 3 });
    const verdicts = (text: string) => new Set(/\| target: .*/.exec(text)?.[0].match(/met|missed/g));
    expect(TARGET).toBe(0.25);
    expect(verdicts(cheap)).toEqual(new Set(["met"]));
    expect(verdicts(dear)).toEqual(new Set(["missed"]));
  });
});
