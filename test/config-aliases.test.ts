/** The names and defaults of the predecessor, which somebody who comes from it has in an environment already. */
import { describe, expect, it } from "vitest";
import { loadConfig, type ServiceConfig } from "../runtime/config.ts";
import { TaskiqError } from "../runtime/errors.ts";
import { LOCAL_QUEUES, queueAttributes } from "../runtime/local/queues.ts";
import { DEFAULT_QUEUE_OPTIONS } from "../runtime/model/queue.ts";

const URL_OF_QUEUE = "https://sqs.us-east-1.amazonaws.com/111122223333/dagster-tasks";
const URL_OF_DEAD = "https://sqs.us-east-1.amazonaws.com/111122223333/dagster-tasks-dlq";
const MINIMAL = {
  DATABASE_URL: "postgres://u@localhost:5432/taskiq",
  TASKIQ_QUEUE_URL: URL_OF_QUEUE,
  TASKIQ_DEAD_LETTER_URL: URL_OF_DEAD,
  TASKIQ_S3_BUCKET: "payloads",
};
const DEFAULT_QUEUE = {
  name: "default",
  url: URL_OF_QUEUE,
  deadLetterUrl: URL_OF_DEAD,
  options: DEFAULT_QUEUE_OPTIONS,
};

type Env = Record<string, string | undefined>;

function service(env: Env): ServiceConfig {
  const config = loadConfig({ ...MINIMAL, ...env });
  if (config.role === "migrate") throw new Error("expected a role other than migrate");
  return config;
}

function problems(env: Env): readonly string[] {
  try {
    service(env);
  } catch (error) {
    if (error instanceof TaskiqError && Array.isArray(error.details)) return error.details;
    throw error;
  }
  return [];
}

describe("the predecessor's names", () => {
  it.each(["DAGSTER_TASKIQ_SQS_QUEUE_URL", "DAGSTER_TASKIQ_QUEUE_URL", "DAGSTER_SQS_QUEUE_URL"])(
    "%s is the URL of the default queue",
    (alias) => {
      expect(service({ TASKIQ_QUEUE_URL: "", [alias]: URL_OF_QUEUE }).queues).toEqual([DEFAULT_QUEUE]);
    },
  );

  it.each(["DAGSTER_TASKIQ_SQS_ENDPOINT_URL", "DAGSTER_TASKIQ_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"])(
    "%s is where AWS is",
    (alias) => {
      expect(service({ [alias]: "http://localhost:4566" }).aws.endpointUrl).toBe("http://localhost:4566");
    },
  );

  it.each(["DAGSTER_TASKIQ_S3_BUCKET_NAME", "DAGSTER_S3_BUCKET"])("%s is the bucket", (alias) => {
    expect(service({ TASKIQ_S3_BUCKET: "", [alias]: "results" }).payload.bucket).toBe("results");
  });

  it("AWS_DEFAULT_REGION is the region", () => {
    expect(service({ AWS_DEFAULT_REGION: "eu-west-1" }).aws.region).toBe("eu-west-1");
  });

  it("give way to a variable's own name", () => {
    const env = { DAGSTER_S3_BUCKET: "results", DAGSTER_SQS_QUEUE_URL: "https://h/other" };
    expect(service(env)).toMatchObject({ payload: { bucket: "payloads" }, queues: [DEFAULT_QUEUE] });
  });

  it("that say two things for one setting are refused: whichever won, somebody meant the other", () => {
    const env = {
      DAGSTER_TASKIQ_SQS_ENDPOINT_URL: "http://localhost:4566",
      DAGSTER_TASKIQ_S3_ENDPOINT_URL: "http://localhost:9000",
    };
    expect(problems(env)).toEqual([
      'AWS_ENDPOINT_URL: expected one value under its old names, got "http://localhost:4566" and "http://localhost:9000" (DAGSTER_TASKIQ_SQS_ENDPOINT_URL, DAGSTER_TASKIQ_S3_ENDPOINT_URL). Set AWS_ENDPOINT_URL itself.',
    ]);
    expect(problems({ ...env, AWS_ENDPOINT_URL: "http://localhost:1" })).toEqual([]);
    expect(problems({ ...env, DAGSTER_TASKIQ_S3_ENDPOINT_URL: "http://localhost:4566" })).toEqual([]);
  });

  it("are named where their value is wrong", () => {
    expect(problems({ TASKIQ_S3_BUCKET: "", DAGSTER_S3_BUCKET: "NO" })).toEqual([
      expect.stringContaining('TASKIQ_S3_BUCKET (DAGSTER_S3_BUCKET): expected the name of an S3 bucket, got "NO".'),
    ]);
  });
});

describe("one queue by its URL", () => {
  it("needs the URL of its dead-letter queue, which the predecessor did not know", () => {
    expect(problems({ TASKIQ_DEAD_LETTER_URL: "" })).toEqual([
      "TASKIQ_DEAD_LETTER_URL: expected the URL of the dead-letter queue, as TASKIQ_QUEUE_URL names the queue, got nothing. Make one if there is none: tasks that fail for good are copied to it.",
    ]);
  });

  it("is a standard queue", () => {
    expect(problems({ TASKIQ_QUEUE_URL: `${URL_OF_QUEUE}.fifo` })).toEqual([
      expect.stringMatching(/^TASKIQ_QUEUE_URL: expected the URL of a standard queue, .* set TASKIQ_QUEUES\.$/),
    ]);
  });

  it("that is no URL is one problem", () => {
    expect(problems({ TASKIQ_QUEUE_URL: "tasks" })).toHaveLength(1);
    expect(problems({ TASKIQ_DEAD_LETTER_URL: "dead" })).toHaveLength(1);
  });

  it("that is its own dead-letter queue is refused", () => {
    expect(problems({ TASKIQ_DEAD_LETTER_URL: URL_OF_QUEUE })).toEqual([
      expect.stringContaining(
        "(of TASKIQ_QUEUE_URL and TASKIQ_DEAD_LETTER_URL): expected a queue that no worker polls",
      ),
    ]);
  });

  it("does not count beside TASKIQ_QUEUES", () => {
    const other = { name: "default", url: "http://h/a", deadLetterUrl: "http://h/b" };
    const { queues } = service({ TASKIQ_QUEUES: JSON.stringify([other]), TASKIQ_DEAD_LETTER_URL: "" });
    expect(queues).toEqual([{ ...other, options: DEFAULT_QUEUE_OPTIONS }]);
  });
});

describe("the predecessor's defaults", () => {
  const [queue] = LOCAL_QUEUES;
  const attributes = queue === undefined ? {} : queueAttributes(queue, "arn:aws:sqs:us-east-1:000000000000:dead");

  it("a received message is hidden for 300 s", () => {
    expect(attributes.VisibilityTimeout).toBe("300");
  });

  it("messages are kept 1,209,600 s", () => {
    expect(attributes.MessageRetentionPeriod).toBe("1209600");
  });

  it("a message goes to the dead-letter queue after 5 deliveries", () => {
    expect(JSON.parse(attributes.RedrivePolicy ?? "{}").maxReceiveCount).toBe(5);
  });

  it("an idempotency key is remembered for 86,400 s", () => {
    expect(service({}).submit.idempotencyTtlMs).toBe(86_400_000);
  });

  it("the region is us-east-1", () => {
    expect(service({}).aws.region).toBe("us-east-1");
  });
});
