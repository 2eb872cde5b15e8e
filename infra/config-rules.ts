/** What has to hold between keys of the configuration. Each rule says which key to change, and what it should be. */
import { isPrefix, type KeyName, PLATFORMS, PREFIX_RULE, type Values } from "./config-keys.ts";

export type Rule = {
  /** The key to change, and what else the rule reads. */
  readonly name: KeyName;
  readonly reads: readonly KeyName[];
  holds(values: Values, stack: string): boolean;
  expected(values: Values, stack: string): string;
  /** What to do. */
  readonly hint: string;
};

/** The start of every physical name. */
export function prefixOf({ namePrefix }: Pick<Values, "namePrefix">, stack: string): string {
  return namePrefix ?? `taskiq-${stack}`;
}

/** Memory that Fargate has for so many CPU units, in MiB: from, to, in steps of. */
const FARGATE: Readonly<Record<number, readonly [number, number, number]>> = {
  512: [1_024, 4_096, 1_024],
  1024: [2_048, 8_192, 1_024],
  2048: [4_096, 16_384, 1_024],
  4096: [8_192, 30_720, 1_024],
  8192: [16_384, 61_440, 4_096],
  16384: [32_768, 122_880, 8_192],
};
const CPUS = [256, ...Object.keys(FARGATE).map(Number)];

function fargateFits(cpu: number, memory: number): boolean {
  if (cpu === 256) return [512, 1_024, 2_048].includes(memory);
  const [from, to, step] = FARGATE[cpu] ?? [1, 0, 1];
  return memory >= from && memory <= to && (memory - from) % step === 0;
}

function fargateMemory(cpu: number): string {
  if (cpu === 256) return "512, 1024 or 2048, which is what Fargate has for 256 CPU units";
  const [from, to, step] = FARGATE[cpu] ?? [0, 0, 0];
  return `${from} to ${to} in steps of ${step}, which is what Fargate has for ${cpu} CPU units`;
}

function fargateRules(cpu: "apiCpu" | "workerCpu", memory: "apiMemory" | "workerMemory"): Rule[] {
  return [
    {
      name: cpu,
      reads: [],
      holds: (values) => CPUS.includes(values[cpu]),
      expected: () => `one of ${CPUS.join(", ")}, which is what Fargate has`,
      hint: "1024 units are one vCPU.",
    },
    {
      name: memory,
      reads: [cpu],
      holds: (values) => !CPUS.includes(values[cpu]) || fargateFits(values[cpu], values[memory]),
      expected: (values) => fargateMemory(values[cpu]),
      hint: `Change it or ${cpu}.`,
    },
  ];
}

/** `least <= most`. */
function order(least: KeyName & NumberKey, most: KeyName & NumberKey): Rule {
  return {
    name: most,
    reads: [least],
    holds: (values) => values[most] >= values[least],
    expected: (values) => `at least ${least} (${values[least]})`,
    hint: `Raise it or lower ${least}.`,
  };
}

function leastMaxStorageGb({ databaseStorageGb }: Values): number {
  return Math.ceil((databaseStorageGb * 11) / 10);
}

type NumberKey = { [Name in KeyName]: Values[Name] extends number ? Name : never }[KeyName];

/** A list of subnets of a given VPC has two or more, or none where the VPC is made. */
function subnetRule(name: "publicSubnetIds" | "privateSubnetIds", isNeeded: (values: Values) => boolean): Rule {
  return {
    name,
    reads: ["vpcId", "publicApi"],
    holds: (values) => !isGivenVpc(values) || !isNeeded(values) || values[name].length >= 2,
    expected: ({ vpcId }) => `two or more subnets of ${vpcId}, in different zones`,
    hint: "A load balancer and a database need two zones.",
  };
}

/** The queues that workers of ours serve. */
function servedQueues({ queues }: Pick<Values, "queues">): string[] {
  return queues.filter(({ wire }) => wire !== "taskiq").map(({ name }) => name);
}

/** Those of them that no group has, which the first worker service serves. */
export function remainingQueues(values: Pick<Values, "queues" | "workerGroups">): string[] {
  return servedQueues(values).filter((name) => !values.workerGroups.some(({ queues }) => queues.includes(name)));
}

/** CPU units and MiB of a task of the group, which has the size of the other workers where it does not say. */
export function sizeOfGroup(
  { cpu, memory }: Values["workerGroups"][number],
  { workerCpu, workerMemory }: Pick<Values, "workerCpu" | "workerMemory">,
): { readonly cpu: number; readonly memory: number } {
  return { cpu: cpu ?? workerCpu, memory: memory ?? workerMemory };
}

const unknownQueueOf = (values: Values) =>
  values.workerGroups.flatMap(({ queues }) => queues).find((name) => !servedQueues(values).includes(name));

const misfitOf = (values: Values) =>
  values.workerGroups
    .map((group) => ({ name: group.name, ...sizeOfGroup(group, values) }))
    .find(({ cpu, memory }) => !CPUS.includes(cpu) || !fargateFits(cpu, memory));

const GROUP_RULES: readonly Rule[] = [
  {
    name: "workerGroups",
    reads: ["queues"],
    holds: (values) => unknownQueueOf(values) === undefined,
    expected: (values) =>
      `queues that workers of ours serve (${servedQueues(values).join(", ")}), which ${unknownQueueOf(values)} is not`,
    hint: "Correct the name or add the queue; those with wire taskiq are served by workers of Python.",
  },
  {
    name: "workerGroups",
    reads: ["queues"],
    holds: (values) => values.workerGroups.length === 0 || remainingQueues(values).length > 0,
    expected: () => "groups that leave a queue to the first worker service",
    hint: "Take a queue out of its group; the keys worker… are for the queues that no group has.",
  },
  {
    name: "workerGroups",
    reads: ["workerCpu", "workerMemory"],
    holds: (values) => misfitOf(values) === undefined,
    expected: (values) => {
      const { name, cpu } = misfitOf(values)!; // the rule does not hold
      return CPUS.includes(cpu)
        ? `for ${name} a memory of ${fargateMemory(cpu)}`
        : `for ${name} a cpu out of ${CPUS.join(", ")}, which is what Fargate has`;
    },
    hint: "What a group leaves out is that of workerCpu and workerMemory.",
  },
  {
    name: "workerMin",
    reads: ["workerGroups", "scalingDriver"],
    holds: ({ workerMin, workerGroups, scalingDriver }) =>
      workerMin > 0 || workerGroups.length === 0 || scalingDriver === "off",
    expected: () => "at least 1, as there are workerGroups",
    hint: "The first worker is started when there is none at all, and workers of a group are some.",
  },
];

/** Wider than any network of one's own. */
const isWide = (cidr: string) => Number(cidr.split("/")[1]) < 8;

const isGivenVpc = ({ vpcId }: Values) => vpcId !== null && vpcId !== "default";

export const RULES: readonly Rule[] = [
  {
    name: "namePrefix",
    reads: [],
    holds: (values, stack) => isPrefix(prefixOf(values, stack)),
    expected: (_, stack) => `${PREFIX_RULE}, which taskiq-${stack}, its default, is not`,
    hint: "Set a shorter one for this stack.",
  },
  ...fargateRules("apiCpu", "apiMemory"),
  ...fargateRules("workerCpu", "workerMemory"),
  order("apiMin", "apiMax"),
  ...GROUP_RULES,
  order("workerMin", "workerDesired"),
  order("workerDesired", "workerMax"),
  order("scalingInBelow", "scalingOutAbove"),
  {
    name: "databaseMaxStorageGb",
    reads: ["databaseStorageGb"],
    holds: (values) => values.databaseMaxStorageGb >= leastMaxStorageGb(values),
    expected: (values) =>
      `at least ${leastMaxStorageGb(values)}, a tenth above databaseStorageGb (${values.databaseStorageGb})`,
    hint: "Raise it or lower databaseStorageGb: RDS lets storage grow by no less.",
  },
  {
    name: "payloadExpireDays",
    reads: ["taskRetentionDays", "maxDelayDays"],
    holds: (values) => values.payloadExpireDays >= values.taskRetentionDays + values.maxDelayDays,
    expected: (values) =>
      `at least ${values.taskRetentionDays + values.maxDelayDays}, which is taskRetentionDays and maxDelayDays together`,
    hint: "Raise it: a task could otherwise outlive its payload.",
  },
  {
    name: "imagePlatforms",
    reads: ["cpuArchitecture"],
    holds: ({ imagePlatforms, cpuArchitecture }) =>
      imagePlatforms.length === 0 || imagePlatforms.includes(PLATFORMS[cpuArchitecture]),
    expected: ({ cpuArchitecture }) =>
      `a list with ${PLATFORMS[cpuArchitecture]} in it, as cpuArchitecture is ${cpuArchitecture}`,
    hint: "Add it, or leave the list empty.",
  },
  {
    name: "databasePassword",
    reads: ["protect"],
    holds: ({ databasePassword, protect }) => databasePassword === null || !protect,
    expected: () => "nothing, as protect is true",
    hint: "Leave it empty: RDS makes the password, keeps it in Secrets Manager and rotates it.",
  },
  {
    name: "databasePassword",
    reads: ["databaseUrl"],
    holds: ({ databasePassword, databaseUrl }) => databasePassword === null || databaseUrl === null,
    expected: () => "nothing, as databaseUrl is a database that exists",
    hint: "Its credentials belong into the secret that databaseSecretArn names.",
  },
  {
    name: "databaseBackupDays",
    reads: ["protect"],
    holds: ({ databaseBackupDays, protect }) => databaseBackupDays > 0 || !protect,
    expected: () => "at least 1, as protect is true",
    hint: "Raise it, or give protect up.",
  },
  {
    name: "databaseTls",
    reads: ["protect"],
    holds: ({ databaseTls, protect }) => databaseTls === "verify-full" || !protect,
    expected: () => "verify-full, as protect is true",
    hint: "Leave it out.",
  },
  {
    name: "tlsOnly",
    reads: ["protect"],
    holds: ({ tlsOnly, protect }) => tlsOnly || !protect,
    expected: () => "true, as protect is true",
    hint: "Leave it out.",
  },
  ...(["databaseSecretArn", "databaseSecurityGroupId"] as const).map(
    (name): Rule => ({
      name,
      reads: ["databaseUrl"],
      holds: (values) => (values[name] === null) === (values.databaseUrl === null),
      expected: ({ databaseUrl }) =>
        databaseUrl === null ? "nothing, as databaseUrl is empty" : "a value, as databaseUrl is set",
      hint: "A database that exists needs all three of databaseUrl, databaseSecretArn and databaseSecurityGroupId.",
    }),
  ),
  subnetRule("publicSubnetIds", ({ publicApi }) => publicApi),
  subnetRule("privateSubnetIds", () => true),
  {
    name: "databaseSubnetIds",
    reads: ["vpcId"],
    holds: ({ databaseSubnetIds }) => databaseSubnetIds.length !== 1,
    expected: () => "two or more subnets in different zones, or none",
    hint: "RDS wants two zones, also without a standby.",
  },
  ...(["publicSubnetIds", "privateSubnetIds", "databaseSubnetIds"] as const).map(
    (name): Rule => ({
      name,
      reads: ["vpcId"],
      holds: (values) => isGivenVpc(values) || values[name].length === 0,
      expected: ({ vpcId }) => (vpcId === null ? "nothing, as vpcId is empty" : "nothing, as vpcId is default"),
      hint: "Set vpcId to the VPC that they are in.",
    }),
  ),
  {
    name: "availabilityZones",
    reads: [],
    holds: ({ availabilityZones }) => availabilityZones.length !== 1 && availabilityZones.length <= 4,
    expected: () => "two to four zones, or none",
    hint: "A load balancer and a database need two.",
  },
  {
    name: "ingressCidrs",
    reads: ["publicApi"],
    holds: ({ ingressCidrs, publicApi }) => !publicApi || ingressCidrs.length > 0,
    expected: () => "one network or more, as publicApi is true",
    hint: "Name the networks of the callers; 0.0.0.0/0 is everybody.",
  },
  {
    name: "apiAuth",
    reads: ["publicApi"],
    holds: ({ apiAuth, publicApi }) => apiAuth === "keys" || !publicApi,
    expected: () => "keys, as publicApi is true",
    hint: "Without keys whoever reaches the API may do everything.",
  },
  {
    name: "apiAuth",
    reads: ["ingressCidrs"],
    holds: ({ apiAuth, ingressCidrs }) => apiAuth === "keys" || !ingressCidrs.some(isWide),
    expected: ({ ingressCidrs }) => `keys, as ingressCidrs has ${ingressCidrs.find(isWide)}, which is wider than /8`,
    hint: "Without keys whoever reaches the API may do everything.",
  },
  {
    name: "certificateArn",
    reads: ["publicApi", "ingressCidrs"],
    holds: ({ certificateArn, publicApi, ingressCidrs }) =>
      certificateArn !== null || !(publicApi || ingressCidrs.some(isWide)),
    expected: ({ publicApi }) =>
      `the ARN of a certificate, as ${publicApi ? "publicApi is true" : "ingressCidrs has a network wider than /8"}`,
    hint: "Keys would cross the network for anybody to read.",
  },
  {
    name: "apiHostname",
    reads: ["certificateArn"],
    holds: ({ apiHostname, certificateArn }) => certificateArn === null || apiHostname !== null,
    expected: () => "the host name of the certificate, as certificateArn is set",
    hint: "The load balancer's own name is not in the certificate, so callers need this one.",
  },
];
