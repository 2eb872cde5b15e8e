/**
 * Invariants over everything a program registers, as plain functions: each takes the recorded resources and says what
 * breaks it. They know AWS and this product's promises, and nothing of the components, so that a new resource that
 * forgets one is found by a test nobody wrote for it.
 */
import { type PolicyStatement, policyOf, type RecordedResource } from "./support.ts";

export type Settings = {
  /** CIDR blocks that the configuration lets in. */
  readonly ingressCidrs: readonly string[];
  /** Whether the stack is to be protected from deletion. */
  readonly isProtected: boolean;
  /** Whether plain HTTP is refused. */
  readonly isTlsOnly: boolean;
};

/** What breaks the invariant, each as `type name: problem`. */
export type Policy = (resources: readonly RecordedResource[], settings: Settings) => string[];

/** Resources that IAM cannot name, and why: what it lets a role do with all of them. */
export const WILDCARD_EXCEPTIONS: Readonly<Record<string, string>> = {
  "ecr:GetAuthorizationToken": "A token for the account's registry; the action has no resource.",
};

const MAX_INLINE_POLICY = 10_240;
const REQUIRED_TAGS = ["Project", "Stack", "ManagedBy"];

/** No role may do everything with something, or something with everything; policies of resources allow nobody. */
export const noWildcards: Policy = (resources) => [
  ...statements(resources, ROLE_POLICIES).flatMap(({ resource, statement }) => {
    if (statement.Effect === "Deny") return [];
    if ("NotAction" in statement || "NotResource" in statement) return [problem(resource, "allows by exclusion")];
    const actions = list(statement.Action);
    const wide = actions.filter((action) => action.includes("*"));
    const isExcepted = actions.every((action) => action in WILDCARD_EXCEPTIONS);
    const broad = isExcepted ? [] : list(statement.Resource).filter((one) => !isSpecific(one));
    return [
      ...wide.map((action) => problem(resource, `allows ${action}`)),
      ...broad.map((one) => problem(resource, `allows ${actions.join(", ")} on ${one}`)),
    ];
  }),
  ...statements(resources, RESOURCE_POLICIES).flatMap(({ resource, statement }) => {
    const isAnybody = JSON.stringify(statement.Principal ?? "*").includes('"*"');
    return statement.Effect === "Allow" && isAnybody ? [problem(resource, "allows anybody")] : [];
  }),
  ...ofType(resources, "aws:iam/rolePolicyAttachment:RolePolicyAttachment").map((one) =>
    problem(one, `attaches ${one.inputs.policyArn}, which AWS may widen: say its statements`),
  ),
];

/** Trust in a service names the account whose resources it may act for. */
export const noConfusedDeputy: Policy = (resources) =>
  statements(resources, { "aws:iam/role:Role": "assumeRolePolicy" }).flatMap(({ resource, statement }) => {
    const conditions = Object.values(statement.Condition ?? {}).flatMap((one) => Object.keys(one));
    const isBound = conditions.includes("aws:SourceAccount") || conditions.includes("aws:SourceArn");
    return isBound ? [] : [problem(resource, "may be assumed for any account")];
  });

/** IAM refuses a role whose inline policies have more characters together. */
export const policiesFit: Policy = (resources) => {
  const sizes = new Map<string, number>();
  for (const one of ofType(resources, "aws:iam/rolePolicy:RolePolicy")) {
    const role = String(one.inputs.role);
    sizes.set(role, (sizes.get(role) ?? 0) + String(one.inputs.policy).replaceAll(/\s/g, "").length);
  }
  return [...sizes]
    .filter(([, size]) => size > MAX_INLINE_POLICY)
    .map(([role, size]) => `aws:iam/role:Role ${role}: has ${size} characters of inline policies`);
};

export const noPublicDatabase: Policy = (resources) =>
  ofType(resources, "aws:rds/instance:Instance").flatMap((one) => [
    ...(one.inputs.publiclyAccessible === false ? [] : [problem(one, "is reachable from the internet")]),
    ...(one.inputs.dbSubnetGroupName === undefined ? [problem(one, "is in the default subnets")] : []),
    ...(list(one.inputs.vpcSecurityGroupIds).length === 0 ? [problem(one, "has the default security group")] : []),
  ]);

/** What comes in from an address, instead of from a named peer, comes from a configured one. */
export const noOpenIngress: Policy = (resources, { ingressCidrs }) => {
  const rules = [
    ...ofType(resources, "aws:ec2/securityGroup:SecurityGroup").flatMap((one) =>
      list(one.inputs.ingress as object[] | undefined).map((rule) => ({ one, rule })),
    ),
    ...ofType(resources, "aws:ec2/securityGroupRule:SecurityGroupRule")
      .filter((one) => one.inputs.type === "ingress")
      .map((one) => ({ one, rule: one.inputs })),
    ...ofType(resources, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").map((one) => ({
      one,
      rule: one.inputs,
    })),
  ];
  return rules.flatMap(({ one, rule }) => {
    const { cidrBlocks, ipv6CidrBlocks, cidrIpv4, cidrIpv6 } = rule as Record<string, string | string[] | undefined>;
    return [cidrBlocks, ipv6CidrBlocks, cidrIpv4, cidrIpv6]
      .flatMap((cidrs) => cidrs ?? [])
      .filter((cidr) => !ingressCidrs.includes(cidr))
      .map((cidr) => problem(one, `lets in ${cidr}, which is not configured`));
  });
};

/** Every resource has the stack's tags, from its provider. */
export const everythingTagged: Policy = (resources) => {
  const tagged = ofType(resources, "pulumi:providers:aws").filter((one) => {
    const { tags = {} } = fromJson<{ tags?: Record<string, string> }>(one.inputs.defaultTags) ?? {};
    return REQUIRED_TAGS.every((tag) => (tags[tag] ?? "") !== "");
  });
  return resources
    .filter(({ type }) => type.startsWith("aws:"))
    .flatMap((one) => {
      const isTagged = tagged.some(({ name }) => one.provider.includes(`pulumi:providers:aws::${name}::`));
      const hidden = REQUIRED_TAGS.filter((tag) => tag in ((one.inputs.tags ?? {}) as object));
      return [
        ...(isTagged ? [] : [problem(one, "has a provider without the stack's tags")]),
        ...hidden.map((tag) => problem(one, `has a tag ${tag} of its own`)),
      ];
    });
};

/** Every store encrypts what it keeps. (CloudWatch Logs and Secrets Manager always do.) */
export const everythingEncrypted: Policy = (resources) => [
  ...ofType(resources, "aws:sqs/queue:Queue")
    .filter(({ inputs }) => inputs.sqsManagedSseEnabled !== true && inputs.kmsMasterKeyId === undefined)
    .map((one) => problem(one, "is not encrypted")),
  ...ofType(resources, "aws:rds/instance:Instance")
    .filter(({ inputs }) => inputs.storageEncrypted !== true)
    .map((one) => problem(one, "is not encrypted")),
  ...ofType(resources, "aws:sns/topic:Topic")
    .filter(({ inputs }) => inputs.kmsMasterKeyId === undefined)
    .map((one) => problem(one, "is not encrypted")),
  ...ofType(resources, "aws:ecr/repository:Repository")
    .filter(({ inputs }) => list(inputs.encryptionConfigurations).length === 0)
    .map((one) => problem(one, "does not say how it is encrypted")),
  ...bucketsWithout(
    resources,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    ({ inputs }) => list(inputs.rules).length > 0,
    "is not encrypted",
  ),
];

/** Nothing in a bucket can be made public, by whatever policy or ACL. */
export const noPublicBuckets: Policy = (resources) =>
  bucketsWithout(
    resources,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    ({ inputs }) =>
      ["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"].every(
        (key) => inputs[key] === true,
      ),
    "can be made public",
  );

export const retentionSet: Policy = (resources) =>
  ofType(resources, "aws:cloudwatch/logGroup:LogGroup")
    .filter(({ inputs }) => !(Number(inputs.retentionInDays) > 0))
    .map((one) => problem(one, "keeps its lines for ever"));

/** In a protected stack nothing that holds data, and nothing callers know the address of, can be deleted by mistake. */
export const protectedStores: Policy = (resources, { isProtected }) => {
  if (!isProtected) return [];
  const database = ofType(resources, "aws:rds/instance:Instance").flatMap((one) => [
    ...(one.inputs.deletionProtection === true ? [] : [problem(one, "can be deleted")]),
    ...(one.options.protect === true ? [] : [problem(one, "can be deleted by the program")]),
    ...(one.inputs.skipFinalSnapshot === true ? [problem(one, "leaves no snapshot")] : []),
    ...(Number(one.inputs.backupRetentionPeriod) >= 7 ? [] : [problem(one, "has backups of less than a week")]),
  ]);
  const emptied = ["aws:s3/bucket:Bucket forceDestroy", "aws:ecr/repository:Repository forceDelete"].flatMap((key) => {
    const [type = "", input = ""] = key.split(" ");
    return ofType(resources, type)
      .filter(({ inputs }) => inputs[input] === true)
      .map((one) => problem(one, "is deleted with what it holds"));
  });
  const balancers = ofType(resources, "aws:lb/loadBalancer:LoadBalancer")
    .filter(({ inputs }) => inputs.enableDeletionProtection !== true)
    .map((one) => problem(one, "can be deleted"));
  return [...database, ...emptied, ...balancers];
};

/** Queues and buckets refuse plain HTTP from anybody. */
export const tlsOnly: Policy = (resources, { isTlsOnly }) => {
  if (!isTlsOnly) return [];
  const queues = ofType(resources, "aws:sqs/queue:Queue")
    .filter(({ inputs }) => !refusesPlainHttp(inputs.policy, "sqs:*"))
    .map((one) => problem(one, "answers plain HTTP"));
  const buckets = bucketsWithout(
    resources,
    "aws:s3/bucketPolicy:BucketPolicy",
    ({ inputs }) => refusesPlainHttp(inputs.policy, "s3:*"),
    "answers plain HTTP",
  );
  return [...queues, ...buckets];
};

/** Secrets are secrets in Pulumi's state, and reach containers by reference. */
export const noPlainSecrets: Policy = (resources) =>
  resources
    .filter(({ type }) => !type.startsWith("taskiq-aws:"))
    .flatMap((one) => {
      const named = Object.keys(one.inputs).filter(
        (key) =>
          /^(password|masterPassword|secretString|secretBinary|token)$/i.test(key) && !one.secretInputs.includes(key),
      );
      const plain = Object.entries(one.inputs).filter(([key]) => !one.secretInputs.includes(key));
      const urls = JSON.stringify(plain).match(/:\/\/[^/\s"@]+:[^/\s"@]+@/g) ?? [];
      return [
        ...named.map((key) => problem(one, `has ${key} in plain text`)),
        ...urls.map(() => problem(one, "has a URL with a password")),
        ...(one.type === "aws:ecs/taskDefinition:TaskDefinition" ? secretsOfContainers(one) : []),
      ];
    });

export const POLICIES: Readonly<Record<string, Policy>> = {
  noWildcards,
  noConfusedDeputy,
  policiesFit,
  noPublicDatabase,
  noPublicBuckets,
  noOpenIngress,
  everythingTagged,
  everythingEncrypted,
  retentionSet,
  protectedStores,
  tlsOnly,
  noPlainSecrets,
};

/** Type, and the input with its policy. */
const ROLE_POLICIES = { "aws:iam/rolePolicy:RolePolicy": "policy", "aws:iam/policy:Policy": "policy" };
const RESOURCE_POLICIES = {
  "aws:sqs/queue:Queue": "policy",
  "aws:sqs/queuePolicy:QueuePolicy": "policy",
  "aws:s3/bucketPolicy:BucketPolicy": "policy",
  "aws:sns/topicPolicy:TopicPolicy": "policy",
  "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
  "aws:iam/role:Role": "assumeRolePolicy",
};

function statements(resources: readonly RecordedResource[], where: Readonly<Record<string, string>>) {
  return resources.flatMap((resource) => {
    const text = resource.inputs[where[resource.type] ?? ""];
    if (text === undefined) return [];
    return policyOf(text).Statement.map((statement: PolicyStatement) => ({ resource, statement }));
  });
}

/**
 * One resource, or everything below one: a wildcard only at the end, after a name that is complete. In a bucket it may stand before
 * an ending, for keys that are told apart by it.
 */
function isSpecific(arn: string): boolean {
  const [, , service = "", region = "", account = "", ...rest] = arn.split(":");
  const name = rest.join(":");
  const below = /^(?<owner>[^*?]+)[/:]\*(?<ending>\.[a-z]+)?$/.exec(name)?.groups;
  const hasOwner =
    below !== undefined && (service === "s3" || (below.ending === undefined && /[/:]/.test(below.owner ?? "")));
  return !/[*?]/.test(service + region + account) && name !== "" && (!/[*?]/.test(name) || hasOwner);
}

function refusesPlainHttp(policy: unknown, action: string): boolean {
  if (typeof policy !== "string") return false;
  return policyOf(policy).Statement.some(
    (statement) =>
      statement.Effect === "Deny" &&
      statement.Principal === "*" &&
      list(statement.Action).includes(action) &&
      statement.Condition?.Bool?.["aws:SecureTransport"] === "false",
  );
}

/** Buckets for which no satellite of that type, and like that, exists. */
function bucketsWithout(
  resources: readonly RecordedResource[],
  type: string,
  isLike: (satellite: RecordedResource) => boolean,
  what: string,
): string[] {
  const good = new Set(
    ofType(resources, type)
      .filter(isLike)
      .map(({ inputs }) => inputs.bucket),
  );
  return ofType(resources, "aws:s3/bucket:Bucket")
    .filter(({ inputs, name }) => !good.has(inputs.bucket ?? `${name}-abc1234`))
    .map((one) => problem(one, what));
}

function secretsOfContainers(one: RecordedResource): string[] {
  if (one.secretInputs.length > 0) return [problem(one, "holds a secret, which anybody may read who lists it")];
  const containers = fromJson<{ environment?: { name: string; value: string }[] }[]>(one.inputs.containerDefinitions);
  return (containers ?? [])
    .flatMap(({ environment = [] }) => environment)
    .filter(({ name }) => /(PASSWORD|SECRET|TOKEN|API_KEY|PRIVATE_KEY)/.test(name) && !name.endsWith("_ARN"))
    .map(({ name }) => problem(one, `has ${name} in its environment`));
}

function ofType(resources: readonly RecordedResource[], type: string): RecordedResource[] {
  return resources.filter((one) => one.type === type);
}

function problem({ type, name }: RecordedResource, what: string): string {
  return `${type} ${name}: ${what}`;
}

function fromJson<T>(text: unknown): T | undefined {
  return typeof text === "string" ? (JSON.parse(text) as T) : undefined;
}

function list<T>(value: T | readonly T[] | undefined): T[];
function list(value: unknown): unknown[];
function list(value: unknown): unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}
