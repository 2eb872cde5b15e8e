/** Every wrong value stops the program before any resource, and says what to do. */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../infra/config.ts";
import { KEYS } from "../../infra/config-keys.ts";
import { defaults, deployProgram, PRODUCTION, schema, stackFile } from "./program.ts";
import { deploy, PROJECT, registered } from "./support.ts";

/** The problems of a configuration, one a line. */
async function problems(config: Record<string, unknown>, stack = "test"): Promise<string[]> {
  try {
    await deploy(() => ({ prefix: loadConfig().prefix }), { config: { ...defaults, ...config }, stack });
  } catch (error) {
    return (error as Error).message.split("\n");
  }
  return [];
}

describe("Pulumi.yaml", () => {
  it("has exactly the keys that the program reads", () => {
    expect(Object.keys(schema).sort()).toEqual(Object.keys(KEYS).sort());
  });

  it("has for each key the type that the program expects", () => {
    const types = (of: Record<string, { type: string }>) =>
      Object.fromEntries(Object.entries(of).map(([key, { type }]) => [key, type]));
    expect(types(schema)).toEqual(types(KEYS));
  });

  it("describes each key in a sentence, gives each a default, and a type to what is in a list", () => {
    for (const [key, entry] of Object.entries(schema)) {
      expect(entry.description, key).toMatch(/^[A-Z].*\.$/s);
      expect(entry, key).toHaveProperty("default");
      if (entry.type === "array") expect(entry.items?.type, key).toMatch(/^(string|object)$/);
    }
  });

  it("has bounds in its descriptions that are those of the program", () => {
    for (const [key, { type, expected }] of Object.entries(KEYS)) {
      const [, min, max] = /^an integer from (\d+) to (\d+)$/.exec(expected) ?? [];
      const stated = / (\d+) to (\d+)[,;. ]/.exec(schema[key]!.description);
      if (type === "integer" && stated !== null) expect([key, stated[1], stated[2]]).toEqual([key, min, max]);
    }
  });

  it("has defaults that are a configuration", async () => {
    expect(await problems({})).toEqual([]);
  });
});

describe("the configurations of this repository", () => {
  it.each(["localstack"])("Pulumi.%s.yaml is one", async (stack) => {
    const own = Object.entries(stackFile(stack)).map(([key, value]) => [key.replace(`${PROJECT}:`, ""), value]);
    expect(await problems(Object.fromEntries(own), stack)).toEqual([]);
  });

  it("production is one, with every queue's own settings and defaults", async () => {
    const program = await deployProgram(PRODUCTION, { stack: "production" });
    const settings = (name: string) => {
      const { visibilityTimeoutSeconds, messageRetentionSeconds } = program.find("aws:sqs/queue:Queue", name).inputs;
      return [visibilityTimeoutSeconds, messageRetentionSeconds];
    };
    expect(settings("default")).toEqual([300, 1_209_600]);
    expect(settings("ordered")).toEqual([60, 1_209_600]);
  });
});

const { certificateArn, apiHostname } = PRODUCTION;
const PUBLIC = { publicApi: true, ingressCidrs: ["0.0.0.0/0"], certificateArn, apiHostname };

/** Key, wrong value, what else is set, and what the line says after the key. */
const WRONG: readonly [string, unknown, Record<string, unknown>, string][] = [
  ["namePrefix", "Taskiq", {}, "expected nothing, or up to 20 lower-case letters"],
  ["namePrefix", "a-name-that-is-too-long", {}, "expected nothing, or up to 20 lower-case letters"],
  ["protect", "yes", {}, 'expected true or false, got "yes"'],
  ["queues", [], {}, "expected a list of queues"],
  ["queues", "default", {}, "expected a list of queues"],
  ["queues", [{ name: "other" }], {}, 'expected a standard queue named "default"'],
  ["queues", [{ name: "default", type: "fifo" }], {}, 'expected a standard queue named "default"'],
  ["visibilitySeconds", 43_201, {}, "expected an integer from 0 to 43200, got"],
  ["retentionSeconds", 59, {}, "expected an integer from 60 to 1209600, got"],
  ["maxReceiveCount", 0, {}, "expected an integer from 1 to 1000, got"],
  ["cancellation", 1, {}, "expected true or false, got"],
  ["tlsOnly", false, {}, "expected true, as protect is true"],
  ["image", "an image", {}, "expected nothing, or the name of an image"],
  ["imageBase", "", {}, "expected the name of an image"],
  ["imagePlatforms", ["linux/s390x"], {}, "expected a list of linux/arm64 and linux/amd64"],
  ["imagePlatforms", ["linux/amd64"], {}, "expected a list with linux/arm64 in it, as cpuArchitecture is ARM64"],
  ["cpuArchitecture", "arm64", {}, "expected one of ARM64, X86_64"],
  ["demo", "on", {}, "expected true or false"],
  ["apiMin", 0, {}, "expected an integer from 1 to 100"],
  ["apiMax", 1, {}, "expected at least apiMin (2), got"],
  ["apiCpu", 300, {}, "expected one of 256, 512, 1024, 2048, 4096, 8192, 16384, which is what Fargate has"],
  ["apiMemory", 5_120, {}, "expected 1024 to 4096 in steps of 1024, which is what Fargate has for 512 CPU units"],
  ["apiMemory", 4_096, { apiCpu: 256 }, "expected 512, 1024 or 2048, which is what Fargate has for 256 CPU units"],
  ["workerMin", -1, {}, "expected an integer from 0 to 1000"],
  ["workerDesired", 1, {}, "expected at least workerMin (2)"],
  ["workerMax", 1, {}, "expected at least workerDesired (2)"],
  ["workerCpu", 100_000, {}, "expected an integer from 256 to 16384"],
  ["workerMemory", 2_560, {}, "expected 2048 to 8192 in steps of 1024"],
  ["workerMemory", 18_432, { workerCpu: 8_192 }, "expected 16384 to 61440 in steps of 4096"],
  ["workerSlots", 0, {}, "expected an integer from 1 to 1000"],
  ["workerSpotPercent", 101, {}, "expected an integer from 0 to 100"],
  ["workerGroups", "batch", {}, "expected a list of groups of workers"],
  [
    "workerGroups",
    [{ name: "batch", queues: ["reports"] }],
    {},
    "expected queues that workers of ours serve (default, ordered), which reports is not",
  ],
  [
    "workerGroups",
    [{ name: "batch", queues: ["py"] }],
    { queues: [{ name: "default" }, { name: "py", wire: "taskiq", results: { basePath: "results/py" } }] },
    "expected queues that workers of ours serve (default), which py is not",
  ],
  [
    "workerGroups",
    [{ name: "all", queues: ["default", "ordered"] }],
    {},
    "expected groups that leave a queue to the first worker service",
  ],
  [
    "workerGroups",
    [{ name: "batch", queues: ["ordered"], cpu: 300 }],
    {},
    "expected for batch a cpu out of 256, 512, 1024, 2048, 4096, 8192, 16384, which is what Fargate has",
  ],
  [
    "workerGroups",
    [{ name: "batch", queues: ["ordered"], cpu: 4_096 }],
    {},
    "expected for batch a memory of 8192 to 30720 in steps of 1024, which is what Fargate has for 4096 CPU units",
  ],
  [
    "workerMin",
    0,
    { workerGroups: [{ name: "batch", queues: ["ordered"] }] },
    "expected at least 1, as there are workerGroups",
  ],
  ["scalingDriver", "both", {}, "expected one of cloudwatch, builtin, off"],
  ["scalingPerWorker", 0, {}, "expected an integer from 1 to 10000"],
  ["scalingOutAbove", 5, {}, "expected at least scalingInBelow (10)"],
  ["scalingInBelow", "ten", {}, "expected an integer from 0 to 1000000"],
  ["scalingOutCooldownSeconds", 3_601, {}, "expected an integer from 0 to 3600"],
  ["scalingInCooldownSeconds", 1.5, {}, "expected an integer from 0 to 3600"],
  ["databaseInstanceClass", "t4g.micro", {}, "expected an instance class of RDS"],
  ["databaseStorageGb", 19, {}, "expected an integer from 20 to 65536"],
  ["databaseMaxStorageGb", 50, { databaseStorageGb: 60 }, "expected at least 66, a tenth above databaseStorageGb (60)"],
  ["databaseMultiAz", "both", {}, "expected true or false"],
  ["databaseBackupDays", 0, {}, "expected at least 1, as protect is true"],
  ["databaseBackupDays", 36, {}, "expected an integer from 0 to 35"],
  ["databaseEngineVersion", "14.9", {}, "expected a version of PostgreSQL from 15 on"],
  ["databaseTls", "require", {}, "expected one of verify-full, disable"],
  ["databaseTls", "disable", {}, "expected verify-full, as protect is true"],
  ["databasePassword", "correct-horse", {}, "expected nothing, as protect is true"],
  ["databasePassword", "short", { protect: false }, "expected nothing, or 8 to 128 printable characters"],
  ["databaseUrl", "postgres://user:pass@host/db", {}, "expected nothing, or postgres://USER@HOST:PORT/NAME"],
  ["databaseUrl", "mysql://host/db", {}, "expected nothing, or postgres://USER@HOST:PORT/NAME"],
  ["databaseSecretArn", "", { databaseUrl: "postgres://me@host/db" }, "expected a value, as databaseUrl is set"],
  ["databaseSecurityGroupId", "", { databaseUrl: "postgres://me@host/db" }, "expected a value, as databaseUrl is set"],
  ["databaseSecurityGroupId", "sg-1", {}, "expected nothing, as databaseUrl is empty"],
  ["vpcId", "my-vpc", {}, 'expected nothing, "default" or the id of a VPC'],
  ["publicSubnetIds", ["a"], {}, "expected a list of ids of subnets"],
  ["publicSubnetIds", [], { vpcId: "vpc-1", publicApi: true }, "expected two or more subnets of vpc-1"],
  ["privateSubnetIds", ["subnet-1"], { vpcId: "vpc-1" }, "expected two or more subnets of vpc-1"],
  ["privateSubnetIds", ["subnet-1", "subnet-1"], { vpcId: "vpc-1" }, "expected each of them once"],
  ["privateSubnetIds", ["subnet-1", "subnet-2"], {}, "expected nothing, as vpcId is empty"],
  ["databaseSubnetIds", ["subnet-1"], { vpcId: "vpc-1" }, "expected two or more subnets in different zones, or none"],
  ["databaseSubnetIds", ["subnet-1", "subnet-2"], { vpcId: "default" }, "expected nothing, as vpcId is default"],
  ["vpcCidr", "10.0.0.0/24", {}, "expected an IPv4 network from /16 to /21"],
  ["vpcCidr", "10.0.0.300/16", {}, "expected an IPv4 network from /16 to /21"],
  ["availabilityZones", ["us-east-1a"], {}, "expected two to four zones, or none"],
  ["availabilityZones", ["us-east-1"], {}, "expected a list of availability zones"],
  ["natGateways", "two", {}, "expected one of none, single, one-per-az"],
  ["publicApi", "no", {}, "expected true or false"],
  ["apiAuth", "password", {}, "expected one of keys, none"],
  ["apiAuth", "none", PUBLIC, "expected keys, as publicApi is true"],
  ["apiAuth", "none", { ingressCidrs: ["0.0.0.0/0"] }, "expected keys, as ingressCidrs has 0.0.0.0/0"],
  [
    "apiAuth",
    "none",
    { ingressCidrs: ["10.0.0.0/8", "128.0.0.0/1"] },
    "expected keys, as ingressCidrs has 128.0.0.0/1",
  ],
  ["ingressCidrs", ["::/0"], {}, "expected a list of IPv4 networks"],
  ["ingressCidrs", ["10.0.0.0"], {}, "expected a list of IPv4 networks"],
  ["ingressCidrs", [], { publicApi: true }, "expected one network or more, as publicApi is true"],
  ["certificateArn", "cert", {}, "expected nothing, or the ARN of a certificate"],
  ["certificateArn", "", PUBLIC, "expected the ARN of a certificate, as publicApi is true"],
  ["certificateArn", "", { ingressCidrs: ["0.0.0.0/0"] }, "as ingressCidrs has a network wider than /8"],
  ["apiHostname", "", { certificateArn: PRODUCTION.certificateArn }, "expected the host name of the certificate"],
  ["apiHostname", "localhost", {}, "expected nothing, or a host name"],
  ["accessLogsBucket", "s3://logs", {}, "expected nothing, or the name of a bucket"],
  ["localUrl", "localhost:4566", {}, "expected nothing, or an http URL"],
  ["payloadExpireDays", 30, {}, "expected at least 395, which is taskRetentionDays and maxDelayDays together"],
  ["taskRetentionDays", 0, {}, "expected an integer from 1 to 3650"],
  ["maxDelayDays", 3_651, {}, "expected an integer from 0 to 3650"],
  ["logRetentionDays", 31, {}, "expected one of 1, 3, 5, 7, 14, 30, 60"],
  ["alarms", "none", {}, "expected true or false"],
  ["alarmTopicArn", "alarms", {}, "expected nothing, or the ARN of an SNS topic"],
  ["dashboard", "none", {}, "expected true or false"],
  ["waitForSteadyState", "no", {}, "expected true or false"],
];

describe("a wrong value", () => {
  it.each(WRONG)("of %s is refused: %j with %j", async (key, value, others, says) => {
    const lines = await problems({ ...others, [key]: value });
    const line = lines.find((one) => one.startsWith(`${PROJECT}:${key}: `));
    expect(line, lines.join("\n")).toContain(says);
    expect(line).toMatch(/, got .*\. .+\.$/);
  });

  it("is tried above for every key", () => {
    const tried = new Set(WRONG.map(([key]) => key));
    expect(Object.keys(KEYS).filter((key) => !tried.has(key))).toEqual([]);
  });

  it("is reported with all the others, with a head line that counts them", async () => {
    expect(await problems({ apiMin: 0, workerSlots: "many", demo: "on" })).toEqual([
      "3 problems in the configuration of stack test:",
      'taskiq-aws:demo: expected true or false, got "on". Set one of the two.',
      'taskiq-aws:apiMin: expected an integer from 1 to 100, got "0". For example 2.',
      'taskiq-aws:workerSlots: expected an integer from 1 to 1000, got "many". For example 10.',
    ]);
  });

  it("stops the program before any resource", async () => {
    await expect(deployProgram({ apiMin: 0, apiMax: 0 })).rejects.toThrow("apiMin");
    expect(registered().filter(({ type }) => type !== "pulumi:pulumi:Stack")).toEqual([]);
  });

  it("of a secret is not shown", async () => {
    const [line] = await problems({ databasePassword: "has a space", protect: false });
    expect(line).toContain("databasePassword: expected nothing, or 8 to 128 printable characters");
    expect(line).not.toContain('space"');
    expect(line).toContain("got something else (not shown)");
  });

  it("in a queue is named by its place", async () => {
    const config = { queues: [{ name: "default" }, { name: "Second", fair: 1, visibilitySeconds: -1, size: 3 }] };
    const lines = await problems(config);
    expect(lines.slice(1).map((line) => line.split(", got")[0])).toEqual([
      "taskiq-aws:queues[1].name: expected up to 40 lower-case letters, digits and hyphens that start with a letter",
      "taskiq-aws:queues[1].fair: expected true or false",
      "taskiq-aws:queues[1].visibilitySeconds: expected an integer from 0 to 43200",
      "taskiq-aws:queues[1]: expected only name, type, fair, visibilitySeconds, retentionSeconds, maxReceiveCount, order, delayByPriority, weight, maxSlots, maxRunning, perSecond, accepts, results, wire",
    ]);
  });

  it.each([
    [[{ name: "default" }, { name: "default" }], "queues[1].name: expected a name no other queue has"],
    [[{ name: "default" }, { name: "cancel" }], "queues[1].name: expected none of the stack's own names"],
    [[{ name: "default" }, { name: "dead-letter" }], "queues[1].name: expected none of the stack's own names"],
    [[{ name: "default" }, { name: "o", type: "fifo", fair: true }], "queues[1].fair: expected false on a FIFO queue"],
    [
      [{ name: "default" }, { name: "py", wire: "taskiq" }],
      'queues[1].results: expected {"basePath": …} that nothing else uses',
    ],
    [
      [{ name: "default" }, { name: "py", wire: "taskiq", type: "fifo", results: { basePath: "results/py" } }],
      'queues[1].type: expected "standard" on a queue with wire "taskiq"',
    ],
    [
      [{ name: "default" }, { name: "py", wire: "taskiq", results: { basePath: "results" } }],
      "queues[1].results.basePath: expected a place under results/ that no other queue has",
    ],
    [
      [
        { name: "default", accepts: {}, results: { basePath: "results/py/" } },
        { name: "py", wire: "taskiq", results: { basePath: "results/py" } },
      ],
      "queues[1].results.basePath: expected a place under results/ that no other queue has",
    ],
    [
      [
        { name: "default", accepts: {}, results: { basePath: "results/py-extended" } },
        { name: "py", wire: "taskiq", results: { basePath: "results/py" } },
      ],
      "queues[1].results.basePath: expected a place under results/ that no other queue has",
    ],
    [
      [{ name: "default" }, ...Array.from({ length: 10 }, (_, index) => ({ name: `q${index}` }))],
      "queues: expected at most 10 queues of type standard",
    ],
  ])("between queues is refused: %j", async (queues, says) => {
    expect((await problems({ queues })).join("\n")).toContain(says);
  });
});

describe("a queue for neighbours in Python", () => {
  const RESULT = "expected results or a place under it, such as results/NAME: the bucket takes results nowhere else";
  const EXTENDED =
    "expected nothing, or a place in the payload bucket that ends in a slash, such as large/, and not v1/";

  it.each([
    [{ wire: "python" }, "wire: expected doorbell or taskiq"],
    [{ accepts: true }, "accepts: expected an object with tasks, tenant and extendedPrefix, each if at all"],
    [
      { accepts: { task: ["sleep"] } },
      "accepts: expected an object with tasks, tenant and extendedPrefix, each if at all",
    ],
    [{ accepts: { tasks: [] } }, "accepts.tasks: expected a list of names of tasks"],
    [{ accepts: { tasks: [""] } }, "accepts.tasks[0]: expected a list of names of tasks"],
    [{ accepts: { tenant: "a b" } }, "accepts.tenant: expected 1 to 100 letters, digits and any of ._-"],
    [{ accepts: { extendedPrefix: "v1/" } }, `accepts.extendedPrefix: ${EXTENDED}`],
    [{ accepts: { extendedPrefix: "v" } }, `accepts.extendedPrefix: ${EXTENDED}`],
    [{ accepts: { extendedPrefix: "*/" } }, `accepts.extendedPrefix: ${EXTENDED}`],
    [{ accepts: { extendedPrefix: "/" } }, `accepts.extendedPrefix: ${EXTENDED}`],
    [{ results: "results" }, "results: expected an object with basePath"],
    [{ results: {} }, `results.basePath: ${RESULT}`],
    [{ results: { basePath: "" } }, `results.basePath: ${RESULT}`],
    [{ results: { basePath: "resultsets/a" } }, `results.basePath: ${RESULT}`],
    [{ results: { basePath: "results/*" } }, `results.basePath: ${RESULT}`],
  ])("is refused with %j", async (options, says) => {
    const lines = await problems({ queues: [{ name: "default", ...options }] });
    expect(lines.map((line) => line.split(", got")[0]).join()).toContain(`taskiq-aws:queues[0].${says}`);
  });

  it("is accepted with all that it may have", async () => {
    const queues = [
      {
        name: "default",
        accepts: { tasks: ["sleep"], tenant: "shop", extendedPrefix: "large/" },
        results: { basePath: "results" },
      },
      { name: "open", accepts: {}, results: { basePath: "results/open/" } },
      { name: "py", wire: "taskiq", results: { basePath: "results/py" } },
    ];
    expect(await problems({ queues })).toEqual([]);
  });
});

describe("a group of workers", () => {
  const group = { name: "batch", queues: ["ordered"] };

  it.each([
    [[{ ...group, name: "Batch" }], "[0].name: expected up to 20 lower-case letters, digits and hyphens"],
    [[{ ...group, name: "batch-" }], "[0].name: expected up to 20 lower-case letters, digits and hyphens"],
    [[{ ...group, name: "a".repeat(21) }], "[0].name: expected up to 20 lower-case letters, digits and hyphens"],
    [[{ name: "batch" }], "[0].queues: expected a list of names of queues"],
    [[{ ...group, queues: [] }], "[0].queues: expected a list of names of queues"],
    [[{ ...group, queues: ["ordered", "ordered"] }], "[0].queues: expected a list of names of queues"],
    [[{ ...group, slots: 0 }], "[0].slots: expected an integer from 1 to 1000"],
    [[{ ...group, cpu: 128 }], "[0].cpu: expected CPU units that Fargate has"],
    [[{ ...group, memory: 256 }], "[0].memory: expected MiB that Fargate has"],
    [[{ ...group, image: "an image" }], "[0].image: expected the name of an image"],
    [[{ ...group, commands: "on" }], "[0].commands: expected true or false"],
    [[{ ...group, count: -1 }], "[0].count: expected an integer from 0 to 1000"],
    [[{ ...group, min: 1 }], "[0]: expected only name, queues, slots, cpu, memory, image, commands, count"],
    [["batch"], "[0]: expected an object"],
    [[group, { ...group, queues: ["default"] }], "[1].name: expected a name no other group has"],
    [[group, { ...group, name: "second" }], "[1].queues[0]: expected a queue of one group only, and batch has ordered"],
  ])("is refused as %j", async (workerGroups, says) => {
    expect((await problems({ workerGroups })).join("\n")).toContain(`taskiq-aws:workerGroups${says}`);
  });

  it("may be the only one that is always there where nobody scales", async () => {
    expect(await problems({ workerGroups: [group], workerMin: 0, scalingDriver: "off" })).toEqual([]);
  });
});

describe("an API for everybody", () => {
  it("is accepted with keys and a certificate", async () => {
    expect(await problems(PUBLIC)).toEqual([]);
  });

  it("is refused without keys, and without a certificate", async () => {
    expect(await problems({ ...PUBLIC, apiAuth: "none" })).toHaveLength(3);
    expect(await problems({ ...PUBLIC, certificateArn: "" })).toHaveLength(1);
  });

  it("needs no keys inside the VPC", async () => {
    expect(await problems({ apiAuth: "none", ingressCidrs: ["10.0.0.0/8"] })).toEqual([]);
  });
});

describe("the names", () => {
  it("start with taskiq- and the stack", async () => {
    const program = await deployProgram({}, { stack: "blue" });
    expect(program.outputs.clusterName).toBe("taskiq-blue");
  });

  it("start with namePrefix where it is given", async () => {
    const program = await deployProgram({ namePrefix: "jobs" });
    expect(program.outputs.clusterName).toBe("jobs");
  });

  it("ask for namePrefix where the stack's name is too long, or has other letters", async () => {
    expect(await problems({}, "production-europe")).toEqual([
      'taskiq-aws:namePrefix: expected up to 20 lower-case letters, digits and hyphens that start with a letter and end without a hyphen, which taskiq-production-europe, its default, is not, got "". Set a shorter one for this stack.',
    ]);
    expect(await problems({}, "Prod")).toHaveLength(1);
  });
});

describe("an unknown key", () => {
  it("is refused with the key that may have been meant", async () => {
    expect(await problems({ workerMaxx: 3, somethingElse: true })).toEqual([
      "2 problems in the configuration of stack test:",
      "taskiq-aws:workerMaxx: there is no such key. Did you mean workerMax?",
      "taskiq-aws:somethingElse: there is no such key. Remove it; Pulumi.yaml lists them all.",
    ]);
    expect(await problems({ workermax: 3 })).toEqual([
      "taskiq-aws:workermax: there is no such key. Did you mean workerMax?",
    ]);
  });

  it("of another namespace is left alone", async () => {
    expect(await problems({ "aws:profile": "me" })).toEqual([]);
  });
});
