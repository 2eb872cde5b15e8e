/**
 * Which permission a call to AWS needs, by AWS's own rules (Service Authorization Reference). An operation that is not here
 * throws: nothing that the runtime calls goes unchecked.
 */
import type { AwsAnswer, AwsCall } from "../support/aws-proxy.ts";

export type Place = { readonly partition: string; readonly region: string; readonly accountId: string };

export type Permission = {
  /** As IAM calls it, `sqs:SendMessage`. */
  readonly action: string;
  /** The ARN that the call was about. */
  readonly resource: string;
  /** The widest resource that a policy may name for it: the ARN itself, but for what is made while the system runs. */
  readonly widest: string;
};

/** IAM knows one action for single messages and batches. */
const SQS_ACTIONS: Readonly<Record<string, string>> = {
  SendMessage: "sqs:SendMessage",
  SendMessageBatch: "sqs:SendMessage",
  ReceiveMessage: "sqs:ReceiveMessage",
  DeleteMessage: "sqs:DeleteMessage",
  DeleteMessageBatch: "sqs:DeleteMessage",
  ChangeMessageVisibility: "sqs:ChangeMessageVisibility",
  ChangeMessageVisibilityBatch: "sqs:ChangeMessageVisibility",
  GetQueueAttributes: "sqs:GetQueueAttributes",
  GetQueueUrl: "sqs:GetQueueUrl",
  PurgeQueue: "sqs:PurgeQueue",
  SetQueueAttributes: "sqs:SetQueueAttributes",
};

/** Everything that the call needs. What a GET needs besides depends on its answer. */
export function permissionsOf(call: AwsCall, answer: Pick<AwsAnswer, "status">, place: Place): Permission[] {
  const target = call.headers["x-amz-target"];
  if (typeof target !== "string") return s3Permissions(call, answer, place);
  const service = target.slice(0, target.indexOf("."));
  // All three speak in JSON objects.
  const input = JSON.parse(call.body) as Record<string, unknown>;
  if (service === "AmazonSQS" && SQS_ACTIONS[call.operation] !== undefined) {
    const arn = queueArn(String(input.QueueUrl), place);
    return [exactly(String(SQS_ACTIONS[call.operation]), arn)];
  }
  if (service === "secretsmanager" && call.operation === "GetSecretValue") {
    return [exactly("secretsmanager:GetSecretValue", String(input.SecretId))];
  }
  if (service.startsWith("AmazonEC2ContainerService")) {
    const cluster = String(input.cluster);
    if (call.operation === "UpdateService") {
      return [exactly("ecs:UpdateService", serviceArn(cluster, String(input.service), place))];
    }
    if (call.operation === "DescribeServices" && Array.isArray(input.services)) {
      return input.services.map((name) => exactly("ecs:DescribeServices", serviceArn(cluster, String(name), place)));
    }
  }
  throw new Error(`expected a call whose permission is known, got ${target}: add it to test/iam/permissions.ts`);
}

/** What the agent of ECS calls with the task's role when a container asks it for protection. */
export function protectionPermission(
  cluster: string,
  taskId: string,
  { partition, region, accountId }: Place,
): Permission {
  const tasks = `arn:${partition}:ecs:${region}:${accountId}:task/${cluster}`;
  return { action: "ecs:UpdateTaskProtection", resource: `${tasks}/${taskId}`, widest: `${tasks}/*` };
}

/** The bucket stands in the path. */
function s3Permissions({ operation, path, body }: AwsCall, { status }: { status: number }, place: Place): Permission[] {
  const { pathname, searchParams } = new URL(path, "http://s3");
  const [, bucket = "", ...rest] = decodeURIComponent(pathname).split("/");
  const key = rest.join("/");
  const arn = `arn:${place.partition}:s3:::${bucket}`;
  const list = exactly("s3:ListBucket", arn);
  if (operation === "POST" && key === "" && searchParams.has("delete")) {
    const keys = [...body.matchAll(/<Key>(.*?)<\/Key>/gs)].map(([, one]) => String(one));
    return keys.map((one) => object("s3:DeleteObject", arn, one));
  }
  if (operation === "HEAD" && key === "") return [list];
  if (operation === "PUT" && key !== "" && searchParams.get("x-id") === "PutObject")
    return [object("s3:PutObject", arn, key)];
  if ((operation === "GET" && searchParams.get("x-id") === "GetObject") || (operation === "HEAD" && key !== "")) {
    // Who may not list the bucket is told "access denied" instead of "no such key".
    return [object("s3:GetObject", arn, key), ...(status === 404 ? [list] : [])];
  }
  throw new Error(
    `expected a call whose permission is known, got ${operation} ${path}: add it to test/iam/permissions.ts`,
  );
}

function exactly(action: string, resource: string): Permission {
  return { action, resource, widest: resource };
}

/** Keys are made while the system runs: what a policy can name is the folder they are in. */
function object(action: string, bucket: string, key: string): Permission {
  return { action, resource: `${bucket}/${key}`, widest: `${bucket}/${key.slice(0, key.indexOf("/") + 1)}*` };
}

function queueArn(url: string, { partition, region }: Place): string {
  const [accountId, name] = new URL(url).pathname.split("/").filter((part) => part !== "");
  return `arn:${partition}:sqs:${region}:${accountId}:${name}`;
}

function serviceArn(cluster: string, service: string, { partition, region, accountId }: Place): string {
  return service.startsWith("arn:")
    ? service
    : `arn:${partition}:ecs:${region}:${accountId}:service/${cluster}/${service}`;
}
