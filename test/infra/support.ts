/**
 * Runs a Pulumi program without an engine and hands back what a provider would have received.
 *
 * - `deploy(program, { config?, secrets?, stack? })` runs `program` inside a stack, waits until every registration has
 *   drained, and gives `{ resources, outputs, calls, find, all, names }`:
 *   - `resources`: `{ type, name, inputs, secretInputs, provider, options }`, sorted by type and name; `inputs` are
 *     plain (secrets unwrapped), `secretInputs` names the top-level inputs that were secret;
 *   - `find(type, name?)` is the only such resource, or throws with those there are; `all(type)` is every one;
 *   - `names()` is `"type name"` of all, for exact lists; `calls` are the functions invoked;
 *   - `outputs` is what the program returned, with outputs resolved.
 *   A program that throws makes `deploy` reject with what it threw; two resources of one type and name are an error.
 * - `registered()` is what the last program registered, also when it threw.
 * - `policyOf(text)` parses a policy document.
 * - `ACCOUNT`, `REGION`, `PARTITION` are where the mocked provider says it is.
 *
 * Each type answers with the attributes its service would compute (arn, url, name, …), because a missing attribute
 * becomes an `undefined` that JSON drops: a test would then prove less than it seems. Give a type its line in `STATES`.
 * Configuration keys without a namespace are the project's.
 */
import * as pulumi from "@pulumi/pulumi";

export const ACCOUNT = "111122223333";
export const REGION = "us-east-1";
export const PARTITION = "aws";
export const PROJECT = "taskiq-aws";

export type Inputs = Record<string, unknown>;

export type RecordedResource = {
  readonly type: string;
  readonly name: string;
  readonly inputs: Inputs;
  /** Top-level inputs that hold a secret anywhere. */
  readonly secretInputs: readonly string[];
  /** Reference of the provider, `""` for components. */
  readonly provider: string;
  /** The options given to it, as constructed (those inherited from a parent are not among them). */
  readonly options: pulumi.CustomResourceOptions & pulumi.ComponentResourceOptions;
};

export type Deployment<T> = {
  readonly resources: readonly RecordedResource[];
  readonly calls: readonly { readonly token: string; readonly inputs: Inputs; readonly provider: string }[];
  readonly outputs: T;
  find(type: string, name?: string): RecordedResource;
  all(type: string): RecordedResource[];
  names(): string[];
};

export type DeployOptions = {
  /** Stack configuration; values that are not texts become JSON, as in a stack file. */
  readonly config?: Record<string, unknown>;
  /** Configuration keys whose values are secrets. */
  readonly secrets?: readonly string[];
  readonly stack?: string;
};

let lastRegistered: Omit<RecordedResource, "options">[] = [];

/** What the last deployment registered, also when its program threw. */
export function registered(): readonly Omit<RecordedResource, "options">[] {
  return lastRegistered;
}

export async function deploy<T extends Record<string, unknown>>(
  program: () => T | Promise<T>,
  { config = {}, secrets = [], stack = "test" }: DeployOptions = {},
): Promise<Deployment<pulumi.Unwrap<pulumi.Unwrap<T>>>> {
  const made: Omit<RecordedResource, "options">[] = [];
  lastRegistered = made;
  const options = new Map<string, RecordedResource["options"]>();
  const calls: { token: string; inputs: Inputs; provider: string }[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => {
        const { inputs, secretInputs } = withoutSecrets(args.inputs as Inputs);
        made.push({ type: args.type, name: args.name, inputs, secretInputs, provider: args.provider ?? "" });
        return stateOf(args.type, args.name, inputs, args.custom ?? true);
      },
      call: ({ token, inputs, provider }) => {
        calls.push({ token, inputs: inputs as Inputs, provider: provider ?? "" });
        return answerOf(token, inputs as Inputs);
      },
    },
    PROJECT,
    stack,
    false,
  );
  pulumi.runtime.setAllConfig(qualified(config), secrets.map(qualifiedKey));
  const duplicates: string[] = [];
  let outcome: { readonly returned: T } | { readonly thrown: unknown } | undefined;
  await pulumi.runtime.runInPulumiStack(async () => {
    pulumi.runtime.registerStackTransformation(({ type, name, opts }) => {
      const key = `${type} ${name}`;
      if (options.has(key)) duplicates.push(key);
      options.set(key, opts);
      return undefined;
    });
    // Caught here: a throw inside the stack is reported as an unhandled rejection besides.
    try {
      outcome = { returned: await program() };
    } catch (thrown) {
      outcome = { thrown };
    }
    return {};
  });
  if (outcome === undefined) throw new Error("the program did not run");
  if ("thrown" in outcome) {
    await pulumi.runtime.disconnect();
    throw outcome.thrown;
  }
  // Outputs first: what waits for them is registered after them.
  const outputs = await resolved(pulumi.output(outcome.returned));
  await pulumi.runtime.disconnect();
  if (duplicates.length > 0) throw new Error(`registered twice: ${duplicates.join(", ")}`);
  const resources = made
    .filter(({ type }) => type !== "pulumi:pulumi:Stack")
    .map((one) => ({ ...one, options: options.get(`${one.type} ${one.name}`) ?? {} }))
    .sort((a, b) => compare(a.type, b.type) || compare(a.name, b.name));
  return {
    resources,
    calls,
    outputs,
    find(type, name) {
      const found = resources.filter((one) => one.type === type && (name === undefined || one.name === name));
      if (found.length !== 1) {
        const there = resources.filter((one) => one.type === type).map((one) => one.name);
        throw new Error(`${found.length} resources ${type} ${name ?? ""}; there are: ${there.join(", ") || "none"}`);
      }
      return found[0]!;
    },
    all: (type) => resources.filter((one) => one.type === type),
    names: () => resources.map((one) => `${one.type} ${one.name}`),
  };
}

export type PolicyStatement = {
  readonly Sid: string;
  readonly Effect: "Allow" | "Deny";
  readonly Principal?: unknown;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Record<string, Record<string, unknown>>;
};

/** A policy document out of an input. */
export function policyOf(text: unknown): { readonly Version: string; readonly Statement: PolicyStatement[] } {
  if (typeof text !== "string") throw new Error(`expected a policy as JSON text, got ${typeof text}`);
  return JSON.parse(text) as { Version: string; Statement: PolicyStatement[] };
}

/** The value of an output. */
export function resolved<T>(output: pulumi.Input<T>): Promise<pulumi.Unwrap<T>> {
  return new Promise((resolve) => {
    pulumi.output(output).apply((value) => resolve(value as pulumi.Unwrap<T>));
  });
}

function qualified(config: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      qualifiedKey(key),
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}

function qualifiedKey(key: string): string {
  return key.includes(":") ? key : `${PROJECT}:${key}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function withoutSecrets(inputs: Inputs): { inputs: Inputs; secretInputs: string[] } {
  const secretInputs: string[] = [];
  const plain = Object.fromEntries(
    Object.entries(inputs).map(([key, value]) => {
      if (holdsSecret(value)) secretInputs.push(key);
      return [key, unwrapped(value)];
    }),
  );
  return { inputs: plain, secretInputs };
}

function holdsSecret(value: unknown): boolean {
  if (pulumi.runtime.isRpcSecret(value)) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(holdsSecret);
}

function unwrapped(value: unknown): unknown {
  if (pulumi.runtime.isRpcSecret(value)) return unwrapped(pulumi.runtime.unwrapRpcSecret(value));
  if (Array.isArray(value)) return value.map(unwrapped);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unwrapped(one)]));
}

const arn = (service: string, resource: string, region = REGION, account = ACCOUNT) =>
  `arn:${PARTITION}:${service}:${region}:${account}:${resource}`;

/** What a service computes, by type. `physical` is the name given, or one as Pulumi would make it. */
const STATES: Record<string, (physical: string, inputs: Inputs) => Inputs> = {
  "aws:sqs/queue:Queue": (name) => ({
    name,
    id: `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/${name}`,
    url: `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/${name}`,
    arn: arn("sqs", name),
  }),
  "aws:s3/bucket:Bucket": (name) => ({ bucket: name, id: name, arn: `arn:${PARTITION}:s3:::${name}` }),
  "aws:iam/role:Role": (name) => ({ name, id: name, arn: arn("iam", `role/${name}`, "") }),
  "aws:ecs/cluster:Cluster": (name) => ({
    name,
    id: arn("ecs", `cluster/${name}`),
    arn: arn("ecs", `cluster/${name}`),
  }),
  "aws:ecs/service:Service": (name, { cluster }) => {
    const id = arn("ecs", `service/${String(cluster).split("/").pop()}/${name}`);
    return { name, id, arn: id };
  },
  "aws:ecs/taskDefinition:TaskDefinition": (name, { family }) => ({
    family: family ?? name,
    revision: 1,
    arn: arn("ecs", `task-definition/${family ?? name}:1`),
    arnWithoutRevision: arn("ecs", `task-definition/${family ?? name}`),
  }),
  "aws:lb/loadBalancer:LoadBalancer": (name) => ({
    name,
    arn: arn("elasticloadbalancing", `loadbalancer/app/${name}/50dc6c495c0c9188`),
    arnSuffix: `app/${name}/50dc6c495c0c9188`,
    dnsName: `${name}-1234567890.${REGION}.elb.amazonaws.com`,
    zoneId: "Z35SXDOTRQ7X7K",
  }),
  "aws:lb/targetGroup:TargetGroup": (name) => ({
    name,
    arn: arn("elasticloadbalancing", `targetgroup/${name}/73e2d6bc24d8a067`),
    arnSuffix: `targetgroup/${name}/73e2d6bc24d8a067`,
  }),
  "aws:lb/listener:Listener": (name) => ({ arn: arn("elasticloadbalancing", `listener/app/${name}/1/2`) }),
  "aws:rds/instance:Instance": (name, { identifier, manageMasterUserPassword }) => {
    const id = String(identifier ?? name);
    return {
      identifier: id,
      id,
      arn: arn("rds", `db:${id}`),
      resourceId: "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
      address: `${id}.abc.${REGION}.rds.amazonaws.com`,
      endpoint: `${id}.abc.${REGION}.rds.amazonaws.com:5432`,
      port: 5432,
      masterUserSecrets:
        manageMasterUserPassword === true
          ? [{ secretArn: arn("secretsmanager", "secret:rds!db-1234-AbCdEf"), secretStatus: "active", kmsKeyId: "" }]
          : [],
    };
  },
  "aws:rds/parameterGroup:ParameterGroup": (name) => ({ name, id: name, arn: arn("rds", `pg:${name}`) }),
  "aws:rds/subnetGroup:SubnetGroup": (name) => ({ name, id: name, arn: arn("rds", `subgrp:${name}`) }),
  "aws:secretsmanager/secret:Secret": (name) => {
    const id = arn("secretsmanager", `secret:${name}-AbCdEf`);
    return { name, id, arn: id };
  },
  "aws:secretsmanager/secretVersion:SecretVersion": (_, { secretId }) => ({ arn: secretId, versionId: "1" }),
  "aws:cloudwatch/logGroup:LogGroup": (name) => ({ name, id: name, arn: arn("logs", `log-group:${name}`) }),
  "aws:cloudwatch/metricAlarm:MetricAlarm": (name) => ({ name, id: name, arn: arn("cloudwatch", `alarm:${name}`) }),
  "aws:cloudwatch/dashboard:Dashboard": (name, { dashboardName }) => ({
    dashboardName: dashboardName ?? name,
    dashboardArn: arn("cloudwatch", `dashboard/${dashboardName ?? name}`, ""),
  }),
  "aws:appautoscaling/target:Target": (name, { resourceId }) => ({
    id: String(resourceId),
    arn: arn("application-autoscaling", `scalable-target/${name}`),
  }),
  "aws:appautoscaling/policy:Policy": (name) => ({
    name,
    arn: arn("autoscaling", `scalingPolicy:${name}:resource/ecs:policyName/${name}`),
  }),
  "aws:ecr/repository:Repository": (name) => ({
    name,
    registryId: ACCOUNT,
    repositoryUrl: `${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com/${name}`,
    arn: arn("ecr", `repository/${name}`),
  }),
  "docker-build:index:Image": (_, { tags }) => {
    const tag = Array.isArray(tags) ? String(tags[0]) : "image";
    return { digest: DIGEST, ref: `${tag}@${DIGEST}` };
  },
  "aws:ec2/securityGroup:SecurityGroup": (name) => ({
    name,
    id: `sg-${name}`,
    arn: arn("ec2", `security-group/sg-${name}`),
  }),
  "awsx:ec2:Vpc": () => ({
    vpcId: "vpc-made",
    publicSubnetIds: ["subnet-public-a", "subnet-public-b"],
    privateSubnetIds: ["subnet-private-a", "subnet-private-b"],
    isolatedSubnetIds: ["subnet-isolated-a", "subnet-isolated-b"],
    routeTables: [{ id: "rtb-a" }, { id: "rtb-b" }],
  }),
};

export const DIGEST = `sha256:${"ab12".repeat(16)}`;

function stateOf(type: string, name: string, inputs: Inputs, custom: boolean): { id: string; state: Inputs } {
  const physical = String(inputs.name ?? inputs.bucket ?? `${name}-abc1234`);
  const computed = STATES[type]?.(physical, inputs) ?? {
    name: physical,
    arn: arn(type.split(":")[1] ?? type, physical),
  };
  const { id = `${physical}-id`, ...state } = computed;
  return { id: custom ? String(id) : "", state: { ...inputs, ...state } };
}

/** Functions of the provider. */
const ANSWERS: Record<string, (inputs: Inputs) => Inputs> = {
  "aws:index/getCallerIdentity:getCallerIdentity": () => ({
    accountId: ACCOUNT,
    arn: arn("iam", "user/deployer", ""),
    id: ACCOUNT,
    userId: "AIDAEXAMPLE",
  }),
  "aws:index/getRegion:getRegion": () => ({ id: REGION, name: REGION, region: REGION, description: "", endpoint: "" }),
  "aws:index/getPartition:getPartition": () => ({
    id: PARTITION,
    partition: PARTITION,
    dnsSuffix: "amazonaws.com",
    reverseDnsPrefix: "com.amazonaws",
  }),
  "aws:index/getAvailabilityZones:getAvailabilityZones": () => ({
    id: REGION,
    names: ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"],
    zoneIds: [],
    groupNames: [],
  }),
  "aws:ec2/getVpc:getVpc": ({ id }) => ({
    id: id ?? "vpc-default",
    cidrBlock: "172.31.0.0/16",
    default: id === undefined,
  }),
  "aws:ec2/getSubnets:getSubnets": () => ({ id: REGION, ids: ["subnet-default-a", "subnet-default-b"] }),
  "aws:ec2/getPrefixList:getPrefixList": () => ({ id: "pl-63a5400a", cidrBlocks: [], name: "" }),
  "aws:ecr/getAuthorizationToken:getAuthorizationToken": () => ({
    authorizationToken: "QVdTOnRva2Vu",
    userName: "AWS",
    password: "registry-token",
    proxyEndpoint: `https://${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com`,
    expiresAt: "",
    id: REGION,
  }),
};

function answerOf(token: string, inputs: Inputs): Inputs {
  const answer = ANSWERS[token];
  // A throw here would never settle the call: the text says what to add instead.
  return answer === undefined
    ? { ...inputs, problem: `no answer for ${token} in test/infra/support.ts` }
    : answer(inputs);
}
