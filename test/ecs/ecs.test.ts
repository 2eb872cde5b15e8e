import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { type EcsOptions, type EcsWorkerService, openWorkerService } from "../../runtime/ecs/ecs.ts";
import { type AwsProxy, changeJson, startAwsProxy, type Treatment } from "../support/aws-proxy.ts";
import { CLUSTER, type EcsStub, ecsError, SERVICE, startEcsStub } from "./ecs-stub.ts";

const REQUEST_TIMEOUT_MS = 150;
/** What a call may take: three tries and the pauses between them. */
const BOUND_MS = 3_000;

let stub: EcsStub;
let proxy: AwsProxy;
let service: EcsWorkerService;

beforeEach(async () => {
  stub = await startEcsStub(3);
  proxy = await startAwsProxy(stub.endpoint);
  service = open({});
});

afterEach(async () => {
  service.close();
  await proxy.close();
  await stub.close();
});

function open(options: Partial<EcsOptions>): EcsWorkerService {
  return openWorkerService({
    region: "us-east-1",
    endpoint: proxy.endpoint,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    cluster: CLUSTER,
    service: SERVICE,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    ...options,
  });
}

const PASS: Treatment = { kind: "pass" };
const firstIs = (treatment: Treatment) => proxy.treat((_call, nth) => (nth === 1 ? treatment : PASS));

describe("describe", () => {
  test("gives the counts of the service", async () => {
    Object.assign(stub.service, { desiredCount: 5, runningCount: 3, pendingCount: 2 });
    expect(await service.describe()).toEqual({ desired: 5, running: 3, pending: 2, deploying: false });
    expect(JSON.parse(proxy.calls[0]?.body ?? "")).toEqual({ cluster: CLUSTER, services: [SERVICE] });
  });

  test.each([
    ["two deployments", [{ status: "PRIMARY", rolloutState: "COMPLETED" }, { status: "ACTIVE" }], true],
    ["one that is not complete", [{ status: "PRIMARY", rolloutState: "IN_PROGRESS" }], true],
    ["one that is complete", [{ status: "PRIMARY", rolloutState: "COMPLETED" }], false],
    ["one that failed and is over", [{ status: "PRIMARY", rolloutState: "FAILED" }], false],
    ["one of a controller that tells no state", [{ status: "PRIMARY" }], false],
  ])("of %s knows whether a deployment is under way", async (_what, deployments, deploying) => {
    stub.service.deployments = deployments;
    expect((await service.describe()).deploying).toBe(deploying);
  });

  test("of a service that does not exist says which one", async () => {
    service.close();
    service = open({ service: "other" });
    await expect(service.describe()).rejects.toMatchObject({
      code: "scaling_unavailable",
      message: expect.stringMatching(/service "other" in cluster "taskiq-test", got Error: MISSING/),
    });
  });

  test("of a cluster that does not exist says so", async () => {
    service.close();
    service = open({ cluster: "other" });
    await expect(service.describe()).rejects.toMatchObject({
      code: "scaling_unavailable",
      message: expect.stringContaining("ClusterNotFoundException"),
    });
    expect(proxy.calls).toHaveLength(1);
  });

  test.each(["DRAINING", "INACTIVE"])("of a service that is %s is no answer to scale by", async (status) => {
    stub.service.status = status;
    await expect(service.describe()).rejects.toMatchObject({
      code: "scaling_unavailable",
      message: expect.stringContaining(status),
    });
  });

  test.each(["desiredCount", "runningCount", "pendingCount"])("does not take an absent %s for zero", async (name) => {
    proxy.treat(() =>
      changeJson((json) => {
        const [found] = json.services as Record<string, unknown>[];
        return { ...json, services: [{ ...found, [name]: undefined }] };
      }),
    );
    await expect(service.describe()).rejects.toMatchObject({
      code: "scaling_unavailable",
      message: expect.stringContaining(name),
    });
  });
});

describe("setDesired", () => {
  test("asks for the count, and for nothing else of the service to change", async () => {
    await service.setDesired(7);
    await service.setDesired(0);
    expect(stub.asked).toEqual([7, 0]);
    expect(proxy.callsOf("UpdateService").map((call) => JSON.parse(call.body))).toEqual([
      { cluster: CLUSTER, service: SERVICE, desiredCount: 7 },
      { cluster: CLUSTER, service: SERVICE, desiredCount: 0 },
    ]);
  });

  test.each([-1, 1.5, Number.NaN])("refuses %d before anything is sent", async (count) => {
    await expect(service.setDesired(count)).rejects.toThrow(RangeError);
    expect(proxy.calls).toEqual([]);
  });

  test("that is not allowed is not tried again, and its error says what to check", async () => {
    proxy.treat(() => ecsError(400, "AccessDeniedException"));
    await expect(service.setDesired(2)).rejects.toMatchObject({
      code: "scaling_unavailable",
      message: expect.stringMatching(/set the desired count to 2 .*AccessDeniedException.*permissions/),
    });
    expect(proxy.calls).toHaveLength(1);
    expect(stub.asked).toEqual([]);
  });
});

describe.each([
  ["describe", (of: EcsWorkerService) => of.describe()],
  ["setDesired", (of: EcsWorkerService) => of.setDesired(4)],
] as const)("%s", (_name, call) => {
  test.each([
    ["was throttled", ecsError(400, "ThrottlingException")],
    ["met an error of the service", ecsError(500, "ServerException")],
    ["was never answered", { kind: "silence" }],
    ["lost its answer half-way", { kind: "break", after: 10 }],
  ] satisfies [string, Treatment][])("succeeds after a first try that %s", async (_what, treatment) => {
    firstIs(treatment);
    await call(service);
    expect(proxy.calls.length).toBe(2);
  });

  test.each([
    ["throttling", ecsError(400, "ThrottlingException")],
    ["errors", ecsError(503, "ServiceUnavailable")],
    ["silence", { kind: "silence" }],
    ["an answer that stands still", { kind: "stall", after: 10 }],
    ["something that is not ECS", { kind: "answer", answer: { status: 200, headers: {}, body: "<html>" } }],
  ] satisfies [string, Treatment][])(
    "ends in bounded time with its error when all there is is %s",
    async (_what, treatment) => {
      proxy.treat(() => treatment);
      const startedMs = systemClock.nowMs();
      await expect(call(service)).rejects.toMatchObject({ name: "TaskiqError", code: "scaling_unavailable" });
      expect(systemClock.nowMs() - startedMs).toBeLessThan(BOUND_MS);
      expect(proxy.calls.length).toBeLessThanOrEqual(3);
    },
  );

  test("ends with its error when nobody listens", async () => {
    await proxy.close();
    await expect(call(service)).rejects.toMatchObject({ code: "scaling_unavailable" });
    proxy = await startAwsProxy(stub.endpoint);
  });
});
