import { describe, expect, it } from "vitest";
import {
  everythingEncrypted,
  everythingTagged,
  noConfusedDeputy,
  noOpenIngress,
  noPlainSecrets,
  noPublicBuckets,
  noPublicDatabase,
  noWildcards,
  POLICIES,
  type Policy,
  policiesFit,
  protectedStores,
  retentionSet,
  type Settings,
  tlsOnly,
  WILDCARD_EXCEPTIONS,
} from "./policies.ts";
import { deployProgram, GROUPED, NEIGHBOURS, PRODUCTION, stackFile } from "./program.ts";
import type { Inputs, RecordedResource } from "./support.ts";

const SETTINGS: Settings = { ingressCidrs: ["203.0.113.0/24"], isProtected: true, isTlsOnly: true };
const PROVIDER = "urn:pulumi:test::taskiq-aws::pulumi:pulumi:Stack$pulumi:providers:aws::aws::aws-id";

const ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy";
const ROLE = "aws:iam/role:Role";
const QUEUE = "aws:sqs/queue:Queue";
const BUCKET = "aws:s3/bucket:Bucket";
const INSTANCE = "aws:rds/instance:Instance";
const TASK = "aws:ecs/taskDefinition:TaskDefinition";

function recorded(type: string, inputs: Inputs, more: Partial<RecordedResource> = {}): RecordedResource {
  return { type, name: "bad", inputs, secretInputs: [], provider: PROVIDER, options: {}, ...more };
}

const document = (...statements: object[]) => JSON.stringify({ Version: "2012-10-17", Statement: statements });
const allow = (Action: unknown, Resource: unknown) =>
  recorded(ROLE_POLICY, { role: "worker", policy: document({ Sid: "S", Effect: "Allow", Action, Resource }) });
const tags = (...names: string[]) => JSON.stringify({ tags: Object.fromEntries(names.map((name) => [name, "x"])) });

const ARN = "arn:aws:sqs:us-east-1:111122223333:jobs";

describe("a wildcard", () => {
  it.each([
    [allow(["sqs:*"], [ARN]), "allows sqs:*"],
    [allow("*", ARN), "allows *"],
    [allow(["s3:Get*"], ["arn:aws:s3:::b/v1/*"]), "allows s3:Get*"],
    [allow(["sqs:SendMessage"], "*"), "allows sqs:SendMessage on *"],
    [allow(["sqs:SendMessage"], ["arn:aws:sqs:us-east-1:111122223333:*"]), "on arn:aws:sqs:us-east-1:111122223333:*"],
    [allow(["sqs:SendMessage"], ["arn:aws:sqs:*:111122223333:jobs"]), "on arn:aws:sqs:*:111122223333:jobs"],
    [allow(["ecs:UpdateService"], ["arn:aws:ecs:us-east-1:1:service/*"]), "on arn:aws:ecs:us-east-1:1:service/*"],
    [allow(["s3:GetObject"], ["arn:aws:s3:::*"]), "on arn:aws:s3:::*"],
    [allow(["s3:GetObject"], ["arn:aws:s3:::*.json"]), "on arn:aws:s3:::*.json"],
    [allow(["ecs:StopTask"], ["arn:aws:ecs:us-east-1:1:task/a/*.json"]), "on arn:aws:ecs:us-east-1:1:task/a/*.json"],
    [allow(["sqs:SendMessage", "ecr:GetAuthorizationToken"], ["*"]), "on *"],
    [
      recorded("aws:iam/policy:Policy", {
        policy: document({ Effect: "Allow", NotAction: ["iam:PassRole"], Resource: ARN }),
      }),
      "allows by exclusion",
    ],
    [
      recorded(QUEUE, {
        policy: document({ Effect: "Allow", Principal: "*", Action: "sqs:SendMessage", Resource: ARN }),
      }),
      "allows anybody",
    ],
    [
      recorded("aws:s3/bucketPolicy:BucketPolicy", {
        policy: document({ Effect: "Allow", Principal: { AWS: "*" }, Action: "s3:GetObject", Resource: ARN }),
      }),
      "allows anybody",
    ],
    [
      recorded("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {
        policyArn: "arn:aws:iam::aws:policy/AmazonSQSFullAccess",
      }),
      "attaches arn:aws:iam::aws:policy/AmazonSQSFullAccess",
    ],
  ])("is found (%#)", (bad, expected) => {
    expect(noWildcards([bad], SETTINGS)).toEqual([expect.stringContaining(expected)]);
  });

  it.each([
    allow(["s3:GetObject"], ["arn:aws:s3:::payloads/v1/*"]),
    allow(["s3:GetObject"], ["arn:aws:s3:::payloads/*.json"]),
    allow(["ecs:UpdateTaskProtection"], ["arn:aws:ecs:us-east-1:111122223333:task/cluster/*"]),
    allow(["logs:PutLogEvents"], ["arn:aws:logs:us-east-1:111122223333:log-group:/taskiq/x/api:log-stream:*"]),
    allow(["ecr:GetAuthorizationToken"], ["*"]),
    recorded(QUEUE, { policy: document({ Effect: "Deny", Principal: "*", Action: "sqs:*", Resource: ARN }) }),
  ])("is none where it stands below one resource, in a denial, or on the list (%#)", (good) => {
    expect(noWildcards([good], SETTINGS)).toEqual([]);
  });

  it("that is excepted has its reason", () => {
    for (const [action, reason] of Object.entries(WILDCARD_EXCEPTIONS)) {
      expect(action).toMatch(/^[a-z0-9]+:[A-Za-z]+$/);
      expect(reason).toMatch(/.{20,}\.$/);
    }
  });
});

/** Each invariant with resources that break it, and what it says of them. */
const BROKEN: readonly (readonly [string, Policy, readonly RecordedResource[], string])[] = [
  [
    "a role that ECS may assume for any account",
    noConfusedDeputy,
    [
      recorded(ROLE, {
        assumeRolePolicy: document({
          Effect: "Allow",
          Principal: { Service: "ecs-tasks.amazonaws.com" },
          Action: "sts:AssumeRole",
        }),
      }),
    ],
    "may be assumed for any account",
  ],
  [
    "a role whose inline policies are too long together",
    policiesFit,
    [6_000, 6_000].map((size) => recorded(ROLE_POLICY, { role: "worker", policy: "x".repeat(size) })),
    "has 12000 characters of inline policies",
  ],
  ["a public database", noPublicDatabase, [recorded(INSTANCE, { publiclyAccessible: true })], "from the internet"],
  ["a database that does not say", noPublicDatabase, [recorded(INSTANCE, {})], "is reachable from the internet"],
  ["a database anywhere", noPublicDatabase, [recorded(INSTANCE, {})], "is in the default subnets"],
  ["a database for anybody", noPublicDatabase, [recorded(INSTANCE, {})], "has the default security group"],
  [
    "an inline rule for everybody",
    noOpenIngress,
    [recorded("aws:ec2/securityGroup:SecurityGroup", { ingress: [{ cidrBlocks: ["0.0.0.0/0"] }] })],
    "lets in 0.0.0.0/0",
  ],
  [
    "a rule for everybody",
    noOpenIngress,
    [recorded("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", { cidrIpv4: "0.0.0.0/0" })],
    "lets in 0.0.0.0/0",
  ],
  [
    "a rule for everybody by IPv6",
    noOpenIngress,
    [recorded("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", { cidrIpv6: "::/0" })],
    "lets in ::/0",
  ],
  [
    "an old rule for more than is configured",
    noOpenIngress,
    [recorded("aws:ec2/securityGroupRule:SecurityGroupRule", { type: "ingress", cidrBlocks: ["203.0.0.0/16"] })],
    "lets in 203.0.0.0/16",
  ],
  [
    "a provider without tags",
    everythingTagged,
    [recorded("pulumi:providers:aws", { region: "us-east-1" }, { name: "aws" }), recorded(QUEUE, {})],
    "has a provider without the stack's tags",
  ],
  [
    "a provider with too few tags",
    everythingTagged,
    [recorded("pulumi:providers:aws", { defaultTags: tags("Project", "Stack") }, { name: "aws" }), recorded(QUEUE, {})],
    "has a provider without the stack's tags",
  ],
  [
    "a resource of another provider",
    everythingTagged,
    [
      recorded("pulumi:providers:aws", { defaultTags: tags("Project", "Stack", "ManagedBy") }, { name: "aws" }),
      recorded(QUEUE, {}, { provider: PROVIDER.replace("::aws::aws-id", "::default::other-id") }),
    ],
    "has a provider without the stack's tags",
  ],
  [
    "a tag that hides the stack's",
    everythingTagged,
    [
      recorded("pulumi:providers:aws", { defaultTags: tags("Project", "Stack", "ManagedBy") }, { name: "aws" }),
      recorded(QUEUE, { tags: { Project: "other" } }),
    ],
    "has a tag Project of its own",
  ],
  ["a queue in the clear", everythingEncrypted, [recorded(QUEUE, {})], "is not encrypted"],
  ["a database in the clear", everythingEncrypted, [recorded(INSTANCE, {})], "is not encrypted"],
  ["a bucket in the clear", everythingEncrypted, [recorded(BUCKET, {})], "is not encrypted"],
  ["a topic in the clear", everythingEncrypted, [recorded("aws:sns/topic:Topic", {})], "is not encrypted"],
  [
    "images that do not say",
    everythingEncrypted,
    [recorded("aws:ecr/repository:Repository", {})],
    "does not say how it is encrypted",
  ],
  ["a bucket that nothing keeps private", noPublicBuckets, [recorded(BUCKET, {})], "can be made public"],
  [
    "a bucket that is private in part",
    noPublicBuckets,
    [
      recorded(BUCKET, { bucket: "b" }),
      recorded("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", {
        bucket: "b",
        blockPublicAcls: true,
        blockPublicPolicy: true,
        ignorePublicAcls: true,
        restrictPublicBuckets: false,
      }),
    ],
    "can be made public",
  ],
  [
    "a log group without retention",
    retentionSet,
    [recorded("aws:cloudwatch/logGroup:LogGroup", { name: "/taskiq/x" })],
    "keeps its lines for ever",
  ],
  [
    "a log group that keeps everything on purpose",
    retentionSet,
    [recorded("aws:cloudwatch/logGroup:LogGroup", { retentionInDays: 0 })],
    "keeps its lines for ever",
  ],
  ["a database that can be deleted", protectedStores, [recorded(INSTANCE, {})], "bad: can be deleted"],
  ["a database that a program can delete", protectedStores, [recorded(INSTANCE, {})], "can be deleted by the program"],
  ["a database without backups", protectedStores, [recorded(INSTANCE, {})], "has backups of less than a week"],
  ["a last day of data", protectedStores, [recorded(INSTANCE, { skipFinalSnapshot: true })], "leaves no snapshot"],
  [
    "a bucket that goes with its objects",
    protectedStores,
    [recorded(BUCKET, { forceDestroy: true })],
    "is deleted with what it holds",
  ],
  [
    "a repository that goes with its images",
    protectedStores,
    [recorded("aws:ecr/repository:Repository", { forceDelete: true })],
    "is deleted with what it holds",
  ],
  ["a load balancer", protectedStores, [recorded("aws:lb/loadBalancer:LoadBalancer", {})], "can be deleted"],
  ["a queue without a policy", tlsOnly, [recorded(QUEUE, {})], "answers plain HTTP"],
  [
    "a queue that refuses something else",
    tlsOnly,
    [
      recorded(QUEUE, {
        policy: document({ Effect: "Deny", Principal: "*", Action: "sqs:SendMessage", Resource: ARN }),
      }),
    ],
    "answers plain HTTP",
  ],
  ["a bucket without a policy", tlsOnly, [recorded(BUCKET, {})], "answers plain HTTP"],
  ["a password", noPlainSecrets, [recorded(INSTANCE, { password: "x" })], "has password in plain text"],
  [
    "a secret's value",
    noPlainSecrets,
    [recorded("aws:secretsmanager/secretVersion:SecretVersion", { secretString: "{}" })],
    "has secretString in plain text",
  ],
  [
    "a URL with credentials",
    noPlainSecrets,
    [recorded("aws:ssm/parameter:Parameter", { value: "postgres://taskiq:hunter2@db:5432/taskiq" })],
    "has a URL with a password",
  ],
  [
    "a secret in a task definition",
    noPlainSecrets,
    [recorded(TASK, { containerDefinitions: "[]" }, { secretInputs: ["containerDefinitions"] })],
    "holds a secret",
  ],
  [
    "a password in a container's environment",
    noPlainSecrets,
    [
      recorded(TASK, {
        containerDefinitions: JSON.stringify([{ environment: [{ name: "DB_PASSWORD", value: "x" }] }]),
      }),
    ],
    "has DB_PASSWORD in its environment",
  ],
];

describe("an invariant finds", () => {
  it.each(BROKEN)("%s", (_, policy, resources, expected) => {
    expect(policy(resources, SETTINGS)).toContainEqual(expect.stringContaining(expected));
  });

  it("something for each of them to find", () => {
    const proven = new Set([noWildcards, ...BROKEN.map(([, policy]) => policy)]);
    expect(new Set(Object.values(POLICIES))).toEqual(proven);
  });
});

describe.each([
  ["by default", {}, { stack: "test" }, { ingressCidrs: ["10.80.0.0/16"], isProtected: true, isTlsOnly: true }],
  [
    "as in production",
    PRODUCTION,
    { stack: "production" },
    { ingressCidrs: ["203.0.113.0/24", "198.51.100.7/32"], isProtected: true, isTlsOnly: true },
  ],
  [
    "with neighbours in Python",
    NEIGHBOURS,
    { stack: "neighbours" },
    { ingressCidrs: ["10.80.0.0/16"], isProtected: true, isTlsOnly: true },
  ],
  [
    "with a group of workers",
    GROUPED,
    { stack: "grouped" },
    { ingressCidrs: ["10.80.0.0/16"], isProtected: true, isTlsOnly: true },
  ],
  [
    "on an emulator",
    stackFile("localstack"),
    { stack: "localstack", secrets: ["databasePassword"] },
    { ingressCidrs: ["172.31.0.0/16"], isProtected: false, isTlsOnly: false },
  ],
] as const)("the program %s", (_, config, options, settings) => {
  it("keeps every invariant", async () => {
    const { resources } = await deployProgram(config, options);
    expect(resources.length).toBeGreaterThan(40);
    const broken = Object.entries(POLICIES).map(([name, policy]) => [name, policy(resources, settings)]);
    expect(Object.fromEntries(broken)).toEqual(Object.fromEntries(Object.keys(POLICIES).map((name) => [name, []])));
  });
});
