/** What has to hold between keys of the configuration. Each rule says which key to change, and what it should be. */
import { isPrefix, type KeyName, PLATFORMS, PREFIX_RULE, type Values } from "./config-keys.ts";
import type { Rule } from "./config-rule.ts";
import { CPUS, fargateFits, fargateMemory } from "./fargate-size.ts";
import { GROUP_RULES } from "./worker-group-rules.ts";

/** The start of every physical name. */
export function prefixOf({ namePrefix }: Pick<Values, "namePrefix">, stack: string): string {
  return namePrefix ?? `taskiq-${stack}`;
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
