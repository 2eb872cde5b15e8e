/** SQS and S3 for a test file: an emulator in this process, whose queues can be looked into. */
import { type Aws, startAws } from "../../runtime/local/aws.ts";
import { LOCAL_BUCKET, LOCAL_QUEUES, type LocalQueue } from "../../runtime/local/queues.ts";
import type { QueueOptions } from "../../runtime/model/queue.ts";

export type TestAws = Aws & {
  readonly region: string;
  readonly bucket: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** The same for a child process. */
  readonly env: Readonly<Record<string, string>>;
};

/** A queue that is not a plain standard one. */
export type TestQueue = { readonly name: string } & Partial<QueueOptions>;

export type TestAwsOptions = {
  /** Settings that differ from a deployment's, for all queues: `{ visibilityMs: 1_000 }`. */
  readonly settings?: Partial<Omit<LocalQueue, "name">>;
  /** Names of the queues. Default: those of a local stack. */
  readonly queues?: readonly (string | TestQueue)[];
};

/** Starts it on a free port (about 50 ms). Make one a file, in `beforeAll`; `stop` it in `afterAll`, after what polls it. */
export async function startTestAws({ settings = {}, queues }: TestAwsOptions = {}): Promise<TestAws> {
  const region = "us-east-1";
  const [standard] = LOCAL_QUEUES;
  if (standard === undefined) throw new Error("a local stack has no queue");
  const wanted =
    queues?.map((queue) => ({ ...standard, ...optionsOf(queue) })) ??
    LOCAL_QUEUES.filter(({ type }) => type === "standard");
  const aws = await startAws({
    region,
    queues: wanted.map((queue) => ({ ...queue, ...settings })),
    buckets: [LOCAL_BUCKET],
  });
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  return {
    ...aws,
    region,
    bucket: LOCAL_BUCKET,
    credentials,
    env: {
      AWS_ENDPOINT_URL: aws.endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_PROFILE: "",
      TASKIQ_S3_BUCKET: LOCAL_BUCKET,
      TASKIQ_QUEUES: JSON.stringify(
        wanted.map(({ name, type }) => ({
          name,
          type,
          url: aws.queueUrl(name),
          deadLetterUrl: aws.deadLetterUrl(name),
        })),
      ),
    },
  };
}

function optionsOf(queue: string | TestQueue): Pick<LocalQueue, "name" | "type"> {
  if (typeof queue === "string") return { name: queue, type: "standard" };
  return { name: queue.name, type: queue.type ?? "standard" };
}
