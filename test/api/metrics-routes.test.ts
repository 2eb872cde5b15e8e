/** `/metrics` of the API, and what it says of requests. Who may ask is in access.test.ts. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { openMetrics } from "../../runtime/metrics/open-metrics.ts";
import { lintMetrics, parseMetrics, sumOf } from "../support/metrics-text.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const OPTIONS = {
  namespace: "taskiq",
  stack: "test",
  intervalMs: 20_000,
  role: "api",
  version: "1.2.3",
  clock: systemClock,
  write: () => {},
} as const;

let place: PlaceKept;
let opened: TestApi[] = [];

beforeAll(async () => {
  place = await createPlace();
});
afterEach(async () => {
  for (const api of opened) await api.close();
  opened = [];
});
afterAll(() => place?.drop());

async function apiWith(kinds: { prometheus: boolean; emf: boolean } | null): Promise<TestApi> {
  const metrics = kinds === null ? null : openMetrics({ ...OPTIONS, ...kinds }).shown;
  const api = await openTestApi(place, { parts: { metrics } });
  opened.push(api);
  return api;
}

test("answers in the text format of Prometheus, and keeps its rules", async () => {
  const api = await apiWith({ prometheus: true, emf: false });
  const { status, headers, text } = await api.get("/metrics");
  expect([status, headers["content-type"]]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  expect(lintMetrics(text)).toEqual([]);
});

describe("requests", () => {
  test("are counted by method, route and status, whatever stands in the path", async () => {
    const api = await apiWith({ prometheus: true, emf: false });
    const nobody = "0198f3c0-0000-7000-8000-000000000000";
    for (const id of [nobody, nobody.replace("8", "9")]) await api.get(`/v1/tasks/${id}`);
    await api.get("/livez");
    await api.get("/nothing/here");
    await api.post("/v1/tasks", { task: "echo", input: 1 });
    await api.post("/v1/tasks", "no json");
    await api.post("/livez", {});
    const wanted = [
      { method: "GET", route: "/v1/tasks/:id", status: "404", count: 2 },
      { method: "GET", route: "/livez", status: "200", count: 1 },
      { method: "GET", route: "other", status: "404", count: 1 },
      { method: "POST", route: "/v1/tasks", status: "202", count: 1 },
      { method: "POST", route: "/v1/tasks", status: "400", count: 1 },
      { method: "POST", route: "/livez", status: "405", count: 1 },
    ];
    // An answer is measured when it has been sent, which may be after it was read.
    const counted = async () => {
      const families = parseMetrics((await api.get("/metrics")).text);
      return wanted.map(({ count: _, ...labels }) => ({
        ...labels,
        count: sumOf(families, "taskq_http_request_seconds_count", labels),
      }));
    };
    await until(async () => JSON.stringify(await counted()) === JSON.stringify(wanted)).catch(async () =>
      expect(await counted()).toEqual(wanted),
    );
  });
});

test.each([
  ["are off", null],
  ["go to CloudWatch only", { prometheus: false, emf: true }],
])("where metrics %s the route says so", async (_, kinds) => {
  const api = await apiWith(kinds);
  const { status, body } = await api.get("/metrics");
  expect([status, body.code, body.detail]).toEqual([
    404,
    "route_not_found",
    "Metrics are not shown here. Put prometheus into TASKIQ_METRICS and start the process again.",
  ]);
});
