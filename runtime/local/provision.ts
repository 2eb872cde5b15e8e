/** Queues and a bucket on services that somebody else runs (`AWS_ENDPOINT_URL`): what is absent is made, what exists stays as it is. */
import { CreateBucketCommand, HeadBucketCommand, S3Client } from "@aws-sdk/client-s3";
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  QueueDoesNotExist,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { TaskiqError } from "../errors.ts";
import {
  deadLetterAttributes,
  deadLetterSqsName,
  type LocalQueue,
  type QueueAttributes,
  queueAttributes,
  sqsName,
} from "./queues.ts";

export type ProvisionOptions = {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  readonly queues: readonly LocalQueue[];
  readonly bucket: string;
};

/** A queue as `TASKIQ_QUEUES` writes it. */
export type QueueAddress = {
  readonly name: string;
  readonly type: LocalQueue["type"];
  readonly url: string;
  readonly deadLetterUrl?: string;
};

/** Makes what is absent. Throws `queue_unavailable` or `payload_unavailable`. */
export async function provision(options: ProvisionOptions): Promise<readonly QueueAddress[]> {
  const { endpoint, region, credentials } = options;
  const requestHandler = { connectionTimeout: 3_000, requestTimeout: 10_000, throwOnRequestTimeout: true };
  const sqs = new SQSClient({ endpoint, region, credentials, requestHandler });
  const s3 = new S3Client({ endpoint, region, credentials, requestHandler, forcePathStyle: true });
  try {
    const addresses: QueueAddress[] = [];
    for (const queue of options.queues) addresses.push(await provisionQueue(sqs, queue));
    await provisionBucket(s3, options.bucket, region);
    return addresses;
  } catch (cause) {
    if (cause instanceof TaskiqError) throw cause;
    throw new TaskiqError(
      "queue_unavailable",
      `expected SQS and S3 at ${endpoint} (AWS_ENDPOINT_URL), got ${cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)}. ` +
        "Start that service, or unset the variable to use the embedded one.",
      { cause },
    );
  } finally {
    sqs.destroy();
    s3.destroy();
  }
}

async function provisionQueue(sqs: SQSClient, queue: LocalQueue): Promise<QueueAddress> {
  const { name, type } = queue;
  if (type === "cancel")
    return { name, type, url: await ensureQueue(sqs, sqsName(queue), queueAttributes(queue, null)) };
  const deadLetterUrl = await ensureQueue(sqs, deadLetterSqsName(queue), deadLetterAttributes(queue));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: deadLetterUrl, AttributeNames: ["QueueArn"] }),
  );
  const arn = Attributes?.QueueArn;
  if (arn === undefined) throw new Error(`no QueueArn for ${deadLetterUrl}`);
  const url = await ensureQueue(sqs, sqsName(queue), queueAttributes(queue, arn));
  return { name, type, url, deadLetterUrl };
}

async function ensureQueue(sqs: SQSClient, name: string, attributes: QueueAttributes): Promise<string> {
  const existing = await findQueue(sqs, name);
  if (existing !== undefined) return existing;
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
  if (QueueUrl === undefined) throw new Error(`no QueueUrl for ${name}`);
  return QueueUrl;
}

async function findQueue(sqs: SQSClient, name: string): Promise<string | undefined> {
  try {
    return (await sqs.send(new GetQueueUrlCommand({ QueueName: name }))).QueueUrl;
  } catch (error) {
    if (error instanceof QueueDoesNotExist) return undefined;
    throw error;
  }
}

async function provisionBucket(s3: S3Client, bucket: string, region: string): Promise<void> {
  if (await hasBucket(s3, bucket)) return;
  // us-east-1 is the one region that must not be named.
  const place =
    region === "us-east-1" ? {} : { CreateBucketConfiguration: { LocationConstraint: region as "eu-west-1" } };
  await s3.send(new CreateBucketCommand({ Bucket: bucket, ...place }));
}

async function hasBucket(s3: S3Client, bucket: string): Promise<boolean> {
  try {
    await s3.send(new HeadBucketCommand({ Bucket: bucket }));
    return true;
  } catch (error) {
    if (error instanceof Error && error.name === "NotFound") return false;
    if (error instanceof Error && error.name === "403") {
      throw new TaskiqError(
        "payload_unavailable",
        `expected access to the bucket "${bucket}", it belongs to somebody else. Set TASKIQ_S3_BUCKET to another name.`,
        { cause: error },
      );
    }
    throw error;
  }
}
