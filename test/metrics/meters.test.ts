import { describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { createBound } from "../../runtime/metrics/bound.ts";
import { createMeters } from "../../runtime/metrics/meters.ts";
import { type MetricsOptions, openMetrics } from "../../runtime/metrics/open-metrics.ts";
import { parseMetrics, sumOf } from "../support/metrics-text.ts";

const OPTIONS = {
  prometheus: true,
  emf: false,
  namespace: "taskiq",
  stack: "test",
  intervalMs: 20_000,
  role: "all",
  version: "1.2.3",
  clock: systemClock,
  write: () => {},
} as const satisfies MetricsOptions;

const read = async (meters: { text(): Promise<string> }) => parseMetrics(await meters.text());

describe("a counter", () => {
  test("is one series a set of labels, whoever asks for it", async () => {
    const meters = createMeters(["worker"]);
    const labels = { queue: "default", type: "echo" };
    meters.counter("taskq_attempts_started_total", labels).value += 2;
    meters.counter("taskq_attempts_started_total", { ...labels }).value++;
    meters.counter("taskq_attempts_started_total", { ...labels, type: "other" }).value++;
    const shown = await read(meters);
    expect(sumOf(shown, "taskq_attempts_started_total", { type: "echo" })).toBe(3);
    expect(meters.total("taskq_attempts_started_total")).toBe(4);
    expect(meters.total("taskq_attempts_started_total", ({ type }) => type === "echo")).toBe(3);
  });

  test("without labels is 0 before anything happened, so that its first increase is seen", async () => {
    const meters = createMeters(["worker"]);
    expect(await meters.text()).toContain("\ntaskq_lease_lost_total 0\n");
  });

  test("of another part cannot be counted", () => {
    const meters = createMeters(["worker"]);
    expect(() => meters.counter("taskq_leases_expired_total", { queue: "default", type: "echo" })).toThrow(
      "taskq_leases_expired_total: expected a metric of worker",
    );
  });

  test("whose labels get out of hand counts what comes after 2,000 series together", async () => {
    const meters = createMeters([]);
    for (let nth = 0; nth < 2_500; nth++) {
      meters.counter("taskq_tasks_enqueued_total", { queue: "default", type: `task-${nth}` }).value++;
    }
    const shown = await read(meters);
    const family = shown.find(({ name }) => name === "taskq_tasks_enqueued_total");
    expect(family?.samples).toHaveLength(2_001);
    expect(sumOf(shown, "taskq_tasks_enqueued_total", { queue: "other", type: "other" })).toBe(500);
  });

  test("has labels of any text", async () => {
    const meters = createMeters([]);
    const queue = 'a "quoted"\\name\nof two lines';
    meters.counter("taskq_tasks_enqueued_total", { queue, type: "echo" }).value++;
    expect(await meters.text()).toContain(
      'taskq_tasks_enqueued_total{queue="a \\"quoted\\"\\\\name\\nof two lines",type="echo"} 1',
    );
  });
});

describe("a histogram", () => {
  test("counts each value in the first bucket that holds it, and in all after that", async () => {
    const meters = createMeters(["worker"]);
    const attempts = meters.histogram("taskq_attempts", { type: "echo" });
    for (const value of [1, 1, 2, 7]) attempts.note(value);
    attempts.note(1_000, 3);
    const shown = await read(meters);
    const bucket = (le: string) => sumOf(shown, "taskq_attempts_bucket", { type: "echo", le });
    expect(["1", "2", "5", "10", "50", "+Inf"].map(bucket)).toEqual([2, 3, 3, 4, 4, 7]);
    expect(sumOf(shown, "taskq_attempts_count")).toBe(7);
    expect(sumOf(shown, "taskq_attempts_sum")).toBe(3_011);
  });
});

describe("what is read when somebody looks", () => {
  test("is left out where it cannot be read, and the rest is shown", async () => {
    const meters = createMeters(["executor"]);
    meters.read("taskq_busy_ratio", () => {
      throw new Error("no figure");
    });
    meters.read("taskq_workers_alive", () => [{ labels: {}, value: 3 }]);
    const text = await meters.text();
    expect(text).toContain("\ntaskq_workers_alive 3\n");
    expect(text).not.toMatch(/^taskq_busy_ratio /m);
  });

  test("of a process is its own: two registries have nothing in common", async () => {
    const [one, two] = [createMeters([]), createMeters([])];
    one.counter("taskq_s3_offload_total", {}).value++;
    expect(sumOf(await read(one), "taskq_s3_offload_total")).toBe(1);
    expect(sumOf(await read(two), "taskq_s3_offload_total")).toBe(0);
  });

  test("says what runs, since when, and what it takes", async () => {
    const { shown } = openMetrics(OPTIONS);
    const families = parseMetrics((await shown?.text()) ?? "");
    expect(sumOf(families, "taskq_build_info", { version: "1.2.3", role: "all" })).toBe(1);
    const startedMs = 1_000 * sumOf(families, "process_start_time_seconds");
    expect(systemClock.wallMs() - startedMs).toBeGreaterThan(0);
    expect(systemClock.wallMs() - startedMs).toBeLessThan(3_600_000);
    expect(sumOf(families, "process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
    expect(sumOf(families, "process_cpu_seconds_total")).toBeGreaterThan(0);
    const { user, system } = process.cpuUsage();
    expect(sumOf(families, "process_cpu_seconds_total")).toBeLessThanOrEqual((user + system) / 1e6);
  });
});

describe("requests", () => {
  test("are measured by their route's pattern; unknown paths and methods count as other", async () => {
    const { shown } = openMetrics(OPTIONS);
    shown?.answered("GET", "/v1/tasks/:id", 200, 0.02);
    shown?.answered("PROPFIND", null, 404, 0.001);
    const families = parseMetrics((await shown?.text()) ?? "");
    const count = (labels: Record<string, string>) => sumOf(families, "taskq_http_request_seconds_count", labels);
    expect(count({ method: "GET", route: "/v1/tasks/:id", status: "200" })).toBe(1);
    expect(count({ method: "other", route: "other", status: "404" })).toBe(1);
  });
});

describe("values of a label that come from elsewhere", () => {
  test("are kept while they are few and plain words", () => {
    const bound = createBound();
    expect(bound("ECONNREFUSED")).toBe("ECONNREFUSED");
    expect(bound("a sentence, with an id 42")).toBe("other");
    for (let nth = 0; nth < 39; nth++) expect(bound(`code-${nth}`)).toBe(`code-${nth}`);
    expect(bound("code-39")).toBe("other");
    expect(bound("ECONNREFUSED")).toBe("ECONNREFUSED");
  });
});
