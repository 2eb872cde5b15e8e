/** What the stack tells its containers is what the runtime understands: its own loader reads every environment. */
import { beforeAll, describe, expect, it } from "vitest";
import type { Environment } from "../../infra/environment.ts";
import { type Config, loadConfig, type ServiceConfig } from "../../runtime/config.ts";
import { MIGRATE_VARIABLES, VARIABLES } from "../../runtime/config-table.ts";
import { deployProgram, PRODUCTION, type Program, stackFile } from "./program.ts";

const programs: Record<string, Program> = {};
beforeAll(async () => {
  programs.default = await deployProgram({}, { stack: "test" });
  programs.production = await deployProgram(PRODUCTION, { stack: "production" });
  programs.localstack = await deployProgram(stackFile("localstack"), { stack: "localstack" });
});

const ROLES = [
  ["api", "migrate"],
  ["api", "api"],
  ["worker", "worker"],
] as const;
const cases = ["default", "production", "localstack"].flatMap((stack) =>
  ROLES.map(([service, container]) => ({ stack, service, container })),
);

type Case = { readonly stack: string; readonly service: string; readonly container: string };

/** The environment of a container, as its process sees it. */
function environmentOf({ stack, service, container }: Case): Record<string, string> {
  const { containerDefinitions } = programs[stack]!.find("aws:ecs/taskDefinition:TaskDefinition", service).inputs;
  const definitions = JSON.parse(String(containerDefinitions)) as {
    name: string;
    environment: { name: string; value: string }[];
  }[];
  const found = definitions.find(({ name }) => name === container);
  return Object.fromEntries(found!.environment.map(({ name, value }) => [name, value]));
}

function serviceConfig(one: Case): ServiceConfig {
  const config: Config = loadConfig(environmentOf(one));
  if (config.role === "migrate") throw new Error("expected a service");
  return config;
}

describe.each(cases)("the environment of $container in $stack", (one) => {
  it("is a configuration of the runtime, with no name that it does not know", () => {
    expect(loadConfig(environmentOf(one)).role).toBe(one.container);
  });

  it("has only variables of the runtime's table, each a text that is not empty", () => {
    for (const [name, value] of Object.entries(environmentOf(one))) {
      expect(Object.keys(VARIABLES)).toContain(name);
      expect(value, name).not.toBe("");
      expect(value, name).not.toMatch(/undefined|\[object|Calling \[toString\]/);
    }
  });

  it("sets every variable that has no default", () => {
    const table = one.container === "migrate" ? MIGRATE_VARIABLES : VARIABLES;
    const required = Object.entries(table).flatMap(([name, { presence }]) => (presence === "required" ? [name] : []));
    expect(Object.keys(environmentOf(one))).toEqual(expect.arrayContaining(required));
    expect(required).toEqual(
      one.container === "migrate" ? ["DATABASE_URL"] : ["DATABASE_URL", "TASKIQ_QUEUES", "TASKIQ_S3_BUCKET"],
    );
  });

  it("breaks the loader when one of those is missing", () => {
    const environment = environmentOf(one);
    for (const name of ["DATABASE_URL", "TASKIQ_QUEUES", "TASKIQ_S3_BUCKET"]) {
      if (!(name in environment)) continue;
      expect(() => loadConfig({ ...environment, [name]: undefined })).toThrow(name);
    }
  });

  it("names the database's secret instead of telling it", () => {
    const { database } = loadConfig(environmentOf(one));
    expect(database.secretArn).toMatch(/^arn:aws:secretsmanager:us-east-1:111122223333:secret:/);
    expect(new URL(database.url).password).toBe("");
  });

  it("checks the certificate of RDS, but for an emulator", () => {
    const { database } = loadConfig(environmentOf(one));
    const isEmulator = one.stack === "localstack";
    expect(new URL(database.url).searchParams.get("sslmode")).toBe(isEmulator ? "disable" : "verify-full");
    expect(database.caFile).toBe(isEmulator ? null : "/app/rds-global-bundle.pem");
  });
});

describe.each(cases.filter(({ container }) => container !== "migrate"))("$container in $stack", (one) => {
  it("polls the queues of the stack, listens to its cancel queue and writes to its bucket", () => {
    const config = serviceConfig(one);
    expect(config.queues.map(({ name }) => name)).toEqual(
      one.stack === "production" ? ["default", "tenants", "ordered"] : ["default", "ordered"],
    );
    expect(config.queues.find(({ name }) => name === "ordered")?.options.type).toBe("fifo");
    expect(config.queues.find(({ name }) => name === "tenants")?.options.fair ?? true).toBe(true);
    expect(config.cancelQueueUrl).toMatch(/-cancel$/);
    expect(config.payload.bucket).toBe(programs[one.stack]!.outputs.bucketName);
  });

  it("writes its metrics where alarms, dashboard and autoscaling look for them", () => {
    const prefix = programs[one.stack]!.outputs.clusterName;
    expect(serviceConfig(one).metrics).toMatchObject({ namespace: "taskiq", stack: prefix });
  });

  it("ends before ECS kills it, also when its own budget is overdrawn by 5 s", () => {
    const { worker } = serviceConfig(one);
    expect(worker.drainBudgetMs + 5_000).toBeLessThan(120_000);
    expect(worker.drainWorkMs + worker.graceMs).toBeLessThanOrEqual(worker.drainBudgetMs);
  });

  it("keeps tasks no longer than their payloads are kept", () => {
    const { executor, submit } = serviceConfig(one);
    const { rules } = programs[one.stack]!.find("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
      .inputs as { rules: { id: string; expiration?: { days: number } }[] };
    const days = rules.find(({ id }) => id === "payloads")!.expiration!.days;
    expect(executor.retentionMs + submit.maxDelayMs).toBeLessThanOrEqual(days * 86_400_000);
  });
});

it("listens where the load balancer and the health checks ask", () => {
  const { http } = serviceConfig({ stack: "default", service: "api", container: "api" });
  expect(http.port).toBe(programs.default!.find("aws:lb/targetGroup:TargetGroup").inputs.port);
  const { worker } = serviceConfig({ stack: "default", service: "worker", container: "worker" });
  const definition = programs.default!.find("aws:ecs/taskDefinition:TaskDefinition", "worker").inputs;
  expect(String(definition.containerDefinitions)).toContain(`http://127.0.0.1:${worker.probe!.port}/livez`);
});

it("serves the demonstration where the stack says so", () => {
  const demo = (stack: string) => serviceConfig({ stack, service: "api", container: "api" }).http.demo;
  expect([demo("default"), demo("localstack")]).toEqual([false, true]);
});

it("asks for keys unless the stack says otherwise, and names the deployment in new ones", () => {
  const access = (stack: string) => serviceConfig({ stack, service: "api", container: "api" }).access;
  expect(access("default")).toMatchObject({ auth: "keys", environment: "taskiq-test" });
  expect(access("production").auth).toBe("keys");
  expect(access("localstack")).toMatchObject({ auth: "none", environment: "taskiq-localstack" });
});

it("sends people to the logs of the workers, filtered by the task", () => {
  const { logsUrl } = serviceConfig({ stack: "default", service: "api", container: "api" }).http;
  expect(logsUrl).toBe(
    "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:logs-insights$3FqueryDetail$3D" +
      "~(end~0~start~-604800~timeType~'RELATIVE~unit~'seconds~editorString~'fields*20*40timestamp*2c*20*40message*20*7c*20filter*20taskId*20*3d*20" +
      "*22{taskId}*22*20*7c*20sort*20*40timestamp*20asc~source~(~'*2ftaskiq*2ftaskiq-test*2fworker))",
  );
});

it("gives a worker the slots of the stack", () => {
  const slots = (stack: string) => serviceConfig({ stack, service: "worker", container: "worker" }).worker.slots;
  expect([slots("default"), slots("localstack")]).toEqual([10, 5]);
});

it("turns the builtin scaler on, with its cluster and service, where it is the driver", () => {
  const scaling = (stack: string) => serviceConfig({ stack, service: "api", container: "api" }).scaling;
  expect(scaling("default")).toBeNull();
  expect(scaling("localstack")).toMatchObject({
    cluster: "taskiq-localstack",
    service: "taskiq-localstack-worker",
    min: 1,
    max: 3,
    outCooldownMs: 5_000,
  });
});

it("does not compile without a variable that is needed, or with one that the runtime does not know", () => {
  const known = { SERVICE_ROLE: "migrate", DATABASE_URL: "postgres://host/name" };
  const complete: Environment = known;
  // @ts-expect-error DATABASE_URL is missing
  const incomplete: Environment = { SERVICE_ROLE: "migrate" };
  // @ts-expect-error there is no such variable
  const unknown: Environment = { ...known, TASKIQ_DATABSE_POOL: "5" };
  expect([complete, incomplete, unknown].map((one) => Object.keys(one).length)).toEqual([2, 1, 3]);
});
