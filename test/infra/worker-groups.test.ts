/** What a group of workers adds to a stack, and what it takes from the first worker service. */
import { beforeAll, describe, expect, it } from "vitest";
import { type Config, loadConfig, type ServiceConfig } from "../../runtime/config.ts";
import { deployProgram, GROUPED, type Program } from "./program.ts";
import { policyOf } from "./support.ts";

const SERVICE = "aws:ecs/service:Service";
const DEFINITION = "aws:ecs/taskDefinition:TaskDefinition";

let single: Program;
let grouped: Program;
beforeAll(async () => {
  single = await deployProgram({ queues: GROUPED.queues }, { stack: "grouped" });
  grouped = await deployProgram(GROUPED, { stack: "grouped" });
});

type Definition = { image: string; environment: { name: string; value: string }[]; logConfiguration: unknown };
/** The first container, as infra/container.ts writes it. */
const container = (of: Program, service: string) =>
  (JSON.parse(String(of.find(DEFINITION, service).inputs.containerDefinitions)) as Definition[])[0]!;
const environment = (of: Program, service: string) =>
  Object.fromEntries(container(of, service).environment.map(({ name, value }) => [name, value]));
function told(service: string): ServiceConfig {
  const config: Config = loadConfig(environment(grouped, service));
  if (config.role === "migrate") throw new Error("expected a service");
  return config;
}

describe("a group of workers", () => {
  it("adds a service, its task definition and its alarms, and nothing else", () => {
    const before = new Set(single.names());
    expect(grouped.names().filter((name) => !before.has(name))).toEqual([
      "aws:cloudwatch/metricAlarm:MetricAlarm alarms-worker-programs-cpu",
      "aws:cloudwatch/metricAlarm:MetricAlarm alarms-worker-programs-memory",
      "aws:ecs/service:Service worker-programs",
      "aws:ecs/taskDefinition:TaskDefinition worker-programs",
      "taskiq-aws:infra:Service worker-programs",
      "taskiq-aws:infra:WorkerService worker-programs",
    ]);
    expect(grouped.names()).toEqual(expect.arrayContaining(single.names()));
  });

  it("runs its own image in its own size, as the first workers' role and beside their log lines", () => {
    const { inputs } = grouped.find(DEFINITION, "worker-programs");
    const first = grouped.find(DEFINITION, "worker").inputs;
    expect(inputs).toEqual({
      ...first,
      family: "taskiq-grouped-worker-programs",
      cpu: "2048",
      memory: "4096",
      containerDefinitions: inputs.containerDefinitions,
    });
    const own = container(grouped, "worker-programs");
    expect(own).toEqual({
      ...container(grouped, "worker"),
      image: "111122223333.dkr.ecr.us-east-1.amazonaws.com/taskiq-python@sha256:0456",
      environment: own.environment,
    });
  });

  it("has as many workers as it says, on demand, whoever scales the others", () => {
    const { inputs, options } = grouped.find(SERVICE, "worker-programs");
    expect(inputs).toEqual({
      ...grouped.find(SERVICE, "worker").inputs,
      name: "taskiq-grouped-worker-programs",
      taskDefinition: "arn:aws:ecs:us-east-1:111122223333:task-definition/taskiq-grouped-worker-programs:1",
      desiredCount: 3,
      capacityProviderStrategies: [{ capacityProvider: "FARGATE", base: 0, weight: 1 }],
      forceDelete: false,
    });
    expect(options.ignoreChanges).toEqual([]);
    const targets = grouped.all("aws:appautoscaling/target:Target").map(({ name }) => name);
    expect(targets).toEqual(["api", "autoscaling"]);
  });

  it("polls its queues and runs commands, and the first workers do neither", () => {
    const own = told("worker-programs");
    expect(own.worker).toMatchObject({ queues: ["reports", "batch"], slots: 2 });
    expect(own.tasks.commandEnvNames).toEqual([]);
    const first = told("worker");
    expect(first.worker).toMatchObject({ queues: ["default", "ordered"], slots: 10 });
    expect(first.tasks.commandEnvNames).toBeNull();
  });

  it("has commands admitted by the API, which no stack has without it", () => {
    expect(told("api").tasks.commandEnvNames).toEqual([]);
    for (const service of ["api", "worker"]) {
      expect(environment(single, service)).not.toHaveProperty("TASKIQ_COMMANDS");
      expect(environment(single, service)).not.toHaveProperty("TASKIQ_WORKER_QUEUES");
    }
  });

  it("has its image pulled by the role that starts containers", () => {
    const pulls = (of: Program) =>
      policyOf(of.find("aws:iam/rolePolicy:RolePolicy", "execution").inputs.policy)
        .Statement.filter(({ Sid }) => !Sid.startsWith("WriteLog"))
        .map(({ Sid, Resource }) => [Sid, Resource]);
    const repository = (name: string) => `arn:aws:ecr:us-east-1:111122223333:repository/${name}`;
    expect(pulls(grouped)).toEqual([
      ["LogInToRegistry", ["*"]],
      ["PullImage", [repository("taskiq-grouped"), repository("taskiq-python")]],
    ]);
    expect(pulls(single)).toEqual([
      ["LogInToRegistry", ["*"]],
      ["PullImage", [repository("taskiq-grouped")]],
    ]);
  });

  it("counts towards the most workers there may be, and is watched as the others are", () => {
    const alarm = (name: string) => grouped.find("aws:cloudwatch/metricAlarm:MetricAlarm", `alarms-${name}`).inputs;
    expect(alarm("workers-at-max").threshold).toBe(23);
    expect(JSON.stringify(alarm("worker-programs-cpu"))).toContain('"taskiq-grouped-worker-programs"');
    expect(alarm("worker-programs-cpu").threshold).toBe(85);
  });
});

describe("a group that says no more than its queues", () => {
  it("is one worker with the image, size and slots of the others, and without commands", async () => {
    const plain = await deployProgram({ workerGroups: [{ name: "fifo", queues: ["ordered"] }] });
    expect(plain.find(SERVICE, "worker-fifo").inputs.desiredCount).toBe(1);
    expect(plain.find(DEFINITION, "worker-fifo").inputs).toMatchObject({ cpu: "1024", memory: "2048" });
    expect(container(plain, "worker-fifo").image).toBe(plain.outputs.imageRef);
    expect(environment(plain, "worker-fifo")).toEqual({
      ...environment(plain, "worker"),
      TASKIQ_WORKER_QUEUES: "ordered",
    });
    expect(environment(plain, "worker").TASKIQ_WORKER_QUEUES).toBe("default");
    expect(environment(plain, "api")).not.toHaveProperty("TASKIQ_COMMANDS");
  });
});
