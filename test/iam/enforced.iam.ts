/** The roles work under exactly the policies that the infrastructure generates, and cannot do more, says an emulator of IAM. */
import { randomBytes } from "node:crypto";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  GetSecretValueCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type System, startSystem } from "../support/system.ts";
import { grantsOf } from "./compare.ts";
import { type DeployedStack, deployedStack, renamed } from "./deployed.ts";
import { ROOT } from "./emulator.ts";
import type { Keys } from "./iam-client.ts";
import { openIam, textIn } from "./iam-client.ts";
import type { Permission } from "./permissions.ts";
import { credentialsOf, play, type Recording } from "./scenario.ts";
import { ecs } from "./stand-ins.ts";

/** The one that the emulator puts everything into. */
const ACCOUNT = "000000000000";

const run = randomBytes(4).toString("hex");
const endpoint = inject("emulatorUrl");
const iam = openIam(endpoint, ROOT);
const ends: (() => Promise<unknown>)[] = [];

let system: System;
let stack: DeployedStack;
let keys: { readonly root: Keys; readonly api: Keys; readonly worker: Keys };
let recording: Recording;

beforeAll(async () => {
  system = await startSystem();
  ends.push(system.stop);
  const generated = await deployedStack();
  const place = { region: generated.place.region, endpoint, credentials: ROOT };
  const secretArn = await makeSecret(new SecretsManagerClient(place));
  const { accountId, partition } = generated.place;
  stack = renamed(generated, {
    [generated.secretArn]: secretArn,
    [accountId]: ACCOUNT,
    "taskiq-grants": `grants-${run}`,
    [generated.bucket]: `${generated.bucket}-${run}`,
  });
  expect(partition).toBe("aws");
  await makeQueues(new SQSClient(place));
  await makeBucket(new S3Client({ ...place, forcePathStyle: true }));
  keys = { root: ROOT, api: await makeUser("api"), worker: await makeUser("worker") };
  recording = await play({ system, stack, endpoint, keys, answer: ecs(), onFinished: (end) => ends.push(end) });
}, 120_000);

afterAll(async () => {
  const failures: unknown[] = [];
  for (const end of ends.reverse()) await end().catch((error: unknown) => failures.push(error));
  expect(failures).toEqual([]);
});

describe("a role with its generated policy", () => {
  it.each(["api", "worker"] as const)("%s is never refused", (role) => {
    expect(recording[role].refused).toEqual([]);
    expect(recording[role].permissions.length).toBeGreaterThan(20);
  });

  it("needs nothing more for the doctor in the API's container", () => {
    expect(recording.doctor.refused).toEqual([]);
  });

  // The emulator looks at the cluster where AWS looks at the service and the task, so its judgement is asked for instead.
  it.each(["api", "worker"] as const)("%s may do with ECS what it did, and the other may not", async (role) => {
    const other = role === "api" ? "worker" : "api";
    const asked = recording[role].permissions.filter(({ action }) => action.startsWith("ecs:"));
    expect(asked.length).toBeGreaterThan(0);
    for (const permission of new Map(asked.map((one) => [one.action, one])).values()) {
      expect([permission.action, await judged(role, permission)]).toEqual([permission.action, "allowed"]);
      expect([permission.action, await judged(other, permission)]).toEqual([permission.action, "implicitDeny"]);
      const elsewhere = { ...permission, resource: permission.resource.replace(`grants-${run}`, "elsewhere") };
      expect([permission.action, await judged(role, elsewhere)]).toEqual([permission.action, "implicitDeny"]);
    }
  });

  it.each(["api", "worker"] as const)("%s is refused what only the other may, and what nobody may", async (role) => {
    for (const [what, attempt] of attempts(keys[role])) {
      if (ALLOWED[role].includes(what)) {
        expect([what, await outcome(attempt)]).toEqual([what, "done"]);
      } else {
        expect([what, await outcome(attempt)]).toEqual([what, "refused"]);
      }
    }
  });
});

const ALLOWED: Readonly<Record<"api" | "worker", readonly string[]>> = {
  api: [
    "send to a task queue",
    "send to a dead-letter queue",
    // Redrive.
    "receive from a dead-letter queue",
    "delete from a dead-letter queue",
    "count a task queue",
    "read a payload",
    "write a payload",
    "write a foreign result",
    "delete a payload",
    "read the database's secret",
    "list the bucket",
  ],
  worker: [
    "send to a task queue",
    "send to a dead-letter queue",
    "receive from a task queue",
    "read a payload",
    "write a payload",
    "read the database's secret",
    "list the bucket",
  ],
};

/** Each is allowed to one of the roles, to both, or to nobody. */
function attempts(credentials: Keys): readonly (readonly [string, () => Promise<unknown>])[] {
  const place = { region: stack.place.region, endpoint, credentials };
  const sqs = new SQSClient({ ...place, useQueueUrlAsEndpoint: false });
  const s3 = new S3Client({ ...place, forcePathStyle: true });
  const secrets = new SecretsManagerClient(place);
  const url = (queue: string) => `${endpoint}/${ACCOUNT}/grants-${run}-${queue}`;
  const Bucket = stack.bucket;
  return [
    ["send to a task queue", () => sqs.send(new SendMessageCommand({ QueueUrl: url("default"), MessageBody: "x" }))],
    [
      "send to a dead-letter queue",
      () => sqs.send(new SendMessageCommand({ QueueUrl: url("dead-letter"), MessageBody: "x" })),
    ],
    ["send to the cancel queue", () => sqs.send(new SendMessageCommand({ QueueUrl: url("cancel"), MessageBody: "x" }))],
    [
      "receive from a task queue",
      () => sqs.send(new ReceiveMessageCommand({ QueueUrl: url("tenants"), WaitTimeSeconds: 0 })),
    ],
    [
      "receive from a dead-letter queue",
      () => sqs.send(new ReceiveMessageCommand({ QueueUrl: url("dead-letter"), WaitTimeSeconds: 0 })),
    ],
    [
      "delete from a dead-letter queue",
      () => sqs.send(new DeleteMessageCommand({ QueueUrl: url("dead-letter"), ReceiptHandle: "x" })),
    ],
    [
      "count a task queue",
      () => sqs.send(new GetQueueAttributesCommand({ QueueUrl: url("default"), AttributeNames: ["All"] })),
    ],
    ["purge a queue", () => sqs.send(new PurgeQueueCommand({ QueueUrl: url("default") }))],
    ["delete a queue", () => sqs.send(new DeleteQueueCommand({ QueueUrl: url("default") }))],
    [
      "change a queue",
      () =>
        sqs.send(new SetQueueAttributesCommand({ QueueUrl: url("default"), Attributes: { VisibilityTimeout: "1" } })),
    ],
    ["write a payload", () => s3.send(new PutObjectCommand({ Bucket, Key: "v1/probe", Body: "1" }))],
    ["read a payload", () => s3.send(new GetObjectCommand({ Bucket, Key: "v1/probe" }))],
    [
      "delete a payload",
      () => s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "v1/none" }] } })),
    ],
    ["write a foreign result", () => s3.send(new PutObjectCommand({ Bucket, Key: "results/probe", Body: "1" }))],
    ["read a foreign result", () => s3.send(new GetObjectCommand({ Bucket, Key: "results/probe" }))],
    ["write elsewhere in the bucket", () => s3.send(new PutObjectCommand({ Bucket, Key: "probe", Body: "1" }))],
    ["list the bucket", () => s3.send(new ListObjectsV2Command({ Bucket, MaxKeys: 1 }))],
    ["delete the bucket", () => s3.send(new DeleteBucketCommand({ Bucket }))],
    ["read the database's secret", () => secrets.send(new GetSecretValueCommand({ SecretId: stack.secretArn }))],
    ["read another secret", () => secrets.send(new GetSecretValueCommand({ SecretId: otherSecretArn }))],
  ];
}

/** A refusal may be in the answer of a batch. */
async function outcome(attempt: () => Promise<unknown>): Promise<string> {
  try {
    const answer = (await attempt()) as { Errors?: { Code?: string }[] };
    return answer.Errors?.some(({ Code }) => Code === "AccessDenied") ? "refused" : "done";
  } catch (error) {
    const { name, message } = error as Error;
    if (/AccessDenied|NotAuthorized/.test(`${name} ${message}`)) return "refused";
    // It was let in, and only then looked at.
    return name === "ReceiptHandleIsInvalid" ? "done" : `${name}: ${message}`;
  }
}

let otherSecretArn = "";
async function makeSecret(secrets: SecretsManagerClient): Promise<string> {
  const make = async (Name: string, SecretString: string): Promise<string> => {
    const { ARN } = await secrets.send(new CreateSecretCommand({ Name, SecretString }));
    ends.push(() => secrets.send(new DeleteSecretCommand({ SecretId: String(ARN), ForceDeleteWithoutRecovery: true })));
    return String(ARN);
  };
  otherSecretArn = await make(`other-${run}`, "x");
  return await make(`database-${run}`, credentialsOf(system.databaseUrl));
}

async function makeQueues(sqs: SQSClient): Promise<void> {
  for (const { name, attributes } of stack.queues) {
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
    ends.push(() => sqs.send(new DeleteQueueCommand({ QueueUrl })));
  }
}

async function makeBucket(s3: S3Client): Promise<void> {
  const Bucket = stack.bucket;
  await s3.send(new CreateBucketCommand({ Bucket }));
  await s3.send(new PutBucketPolicyCommand({ Bucket, Policy: stack.bucketPolicy }));
  ends.push(async () => {
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
    await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: Contents.map(({ Key }) => ({ Key })) } }));
    await s3.send(new DeleteBucketCommand({ Bucket }));
  });
}

const userOf = (role: "api" | "worker") => `taskiq-${role}-${run}`;

/** A user stands for the role: what it may do is the policy and nothing else. */
async function makeUser(role: "api" | "worker"): Promise<Keys> {
  const UserName = userOf(role);
  await iam.call("CreateUser", { UserName });
  ends.push(() => iam.call("DeleteUser", { UserName }));
  const documents = { generated: stack.policies[role], "words-of-the-emulator": batchActions(stack.policies[role]) };
  for (const [PolicyName, PolicyDocument] of Object.entries(documents)) {
    await iam.call("PutUserPolicy", { UserName, PolicyName, PolicyDocument });
    ends.push(() => iam.call("DeleteUserPolicy", { UserName, PolicyName }));
  }
  const xml = await iam.call("CreateAccessKey", { UserName });
  const made = { accessKeyId: textIn(xml, "AccessKeyId"), secretAccessKey: textIn(xml, "SecretAccessKey") };
  ends.push(() => iam.call("DeleteAccessKey", { UserName, AccessKeyId: made.accessKeyId }));
  return made;
}

/** AWS knows one action for single messages and batches, the emulator two: what the policy allows, once more in its words. */
function batchActions(policy: string): string {
  const batched = ["sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"];
  const Statement = grantsOf(policy)
    .filter(({ action }) => batched.includes(action))
    .map(({ action, resource }) => ({ Effect: "Allow", Action: `${action}Batch`, Resource: resource }));
  return JSON.stringify({ Version: "2012-10-17", Statement });
}

async function judged(role: "api" | "worker", { action, resource }: Permission): Promise<string> {
  const xml = await iam.call("SimulatePrincipalPolicy", {
    PolicySourceArn: `arn:aws:iam::${ACCOUNT}:user/${userOf(role)}`,
    "ActionNames.member.1": action,
    "ResourceArns.member.1": resource,
  });
  return textIn(xml, "EvalDecision");
}
