import { describe, expect, it } from "vitest";
import { DeadLetterQueue, type DeadLetterQueueArgs } from "../../infra/dead-letter-queue.ts";
import { TaskQueue, type TaskQueueArgs } from "../../infra/task-queue.ts";
import { ACCOUNT, deploy, PARTITION, policyOf, REGION, resolved } from "./support.ts";

const QUEUE = "aws:sqs/queue:Queue";
const account = { accountId: ACCOUNT, region: REGION, partition: PARTITION };
const arnOf = (name: string) => `arn:aws:sqs:us-east-1:111122223333:${name}`;

function queues(
  task: Partial<TaskQueueArgs> = {},
  dead: Partial<DeadLetterQueueArgs> = {},
): { deadLetter: DeadLetterQueue; queue: TaskQueue } {
  const suffix = task.type === "fifo" ? ".fifo" : "";
  const deadLetter = new DeadLetterQueue("dead-letter", {
    queueName: `taskiq-test-dead-letter${suffix}`,
    type: task.type ?? "standard",
    retentionSeconds: 1_209_600,
    sources: [`taskiq-test-default${suffix}`],
    account,
    ...dead,
  });
  const queue = new TaskQueue("default", {
    queueName: `taskiq-test-default${suffix}`,
    type: "standard",
    fair: false,
    visibilitySeconds: 300,
    retentionSeconds: 1_209_600,
    maxReceiveCount: 5,
    deadLetter,
    account,
    ...task,
  });
  return { deadLetter, queue };
}

const made = (task?: Partial<TaskQueueArgs>, dead?: Partial<DeadLetterQueueArgs>) =>
  deploy(() => {
    const { queue } = queues(task, dead);
    return { url: queue.url, arn: queue.arn };
  });

describe("a standard queue", () => {
  it("is made with exactly these settings", async () => {
    const { find } = await made();
    const { policy, redrivePolicy, ...settings } = find(QUEUE, "default").inputs;
    expect(settings).toEqual({
      name: "taskiq-test-default",
      visibilityTimeoutSeconds: 300,
      messageRetentionSeconds: 1_209_600,
      receiveWaitTimeSeconds: 20,
      sqsManagedSseEnabled: true,
    });
    expect(JSON.parse(String(redrivePolicy))).toEqual({
      deadLetterTargetArn: arnOf("taskiq-test-dead-letter"),
      maxReceiveCount: 5,
    });
    expect(policy).toBeTypeOf("string");
  });

  it("is one resource of a component, and gives its URL and ARN", async () => {
    const { names, outputs } = await made();
    expect(names()).toEqual([
      `${QUEUE} dead-letter`,
      `${QUEUE} default`,
      "taskiq-aws:infra:DeadLetterQueue dead-letter",
      "taskiq-aws:infra:TaskQueue default",
    ]);
    expect(outputs).toEqual({
      url: "https://sqs.us-east-1.amazonaws.com/111122223333/taskiq-test-default",
      arn: arnOf("taskiq-test-default"),
    });
  });

  it("refuses plain HTTP and other accounts, and allows nobody anything", async () => {
    const { find } = await made();
    const deny = {
      Effect: "Deny",
      Principal: "*",
      Action: "sqs:*",
      Resource: arnOf("taskiq-test-default"),
    };
    expect(policyOf(find(QUEUE, "default").inputs.policy)).toEqual({
      Version: "2012-10-17",
      Statement: [
        { Sid: "DenyPlainHttp", ...deny, Condition: { Bool: { "aws:SecureTransport": "false" } } },
        { Sid: "DenyOtherAccounts", ...deny, Condition: { StringNotEquals: { "aws:PrincipalAccount": ACCOUNT } } },
      ],
    });
  });

  it("admits plain HTTP from its own account only where it is told to", async () => {
    const { find } = await made({ tlsOnly: false }, { tlsOnly: false });
    for (const name of ["default", "dead-letter"]) {
      const { Statement: statements } = policyOf(find(QUEUE, name).inputs.policy);
      expect(statements.map(({ Sid }) => Sid)).toEqual(["DenyOtherAccounts"]);
    }
  });
});

describe("the budget of receives", () => {
  it.each([
    ["a standard queue", {}, 5],
    ["a fair queue, whose messages come back at every retry", { fair: true }, 1_000],
    ["a FIFO queue, whose messages come back at every retry", { type: "fifo" }, 1_000],
  ] as const)("of %s", async (_, task, expected) => {
    const { find } = await made(task);
    expect(JSON.parse(String(find(QUEUE, "default").inputs.redrivePolicy)).maxReceiveCount).toBe(expected);
  });
});

describe("a FIFO queue", () => {
  it("has both settings that high throughput needs, and so has its dead-letter queue", async () => {
    const { find } = await made({ type: "fifo" });
    for (const name of ["default", "dead-letter"]) {
      expect(find(QUEUE, name).inputs).toMatchObject({
        fifoQueue: true,
        deduplicationScope: "messageGroup",
        fifoThroughputLimit: "perMessageGroupId",
      });
    }
  });

  it("refuses to be fair", async () => {
    await expect(made({ type: "fifo", fair: true })).rejects.toThrow(
      'queue "default": expected fair on a standard queue, got it on a FIFO queue. Choose one of them.',
    );
  });

  it("refuses a dead-letter queue of the other type, as SQS would", async () => {
    await expect(made({ type: "fifo" }, { type: "standard" })).rejects.toThrow(
      'queue "default": expected a dead-letter queue of type fifo, got standard.',
    );
  });
});

describe("a dead-letter queue", () => {
  it("admits messages of the named queues only, by ARNs known before they exist", async () => {
    const sources = ["taskiq-test-default", "taskiq-test-mail"];
    const { find } = await made({}, { sources });
    const { policy, redriveAllowPolicy, ...settings } = find(QUEUE, "dead-letter").inputs;
    expect(JSON.parse(String(redriveAllowPolicy))).toEqual({
      redrivePermission: "byQueue",
      sourceQueueArns: sources.map(arnOf),
    });
    expect(settings).toEqual({
      name: "taskiq-test-dead-letter",
      messageRetentionSeconds: 1_209_600,
      receiveWaitTimeSeconds: 20,
      sqsManagedSseEnabled: true,
    });
    expect(policyOf(policy).Statement.map((one) => one.Resource)).toEqual(
      Array(2).fill(arnOf("taskiq-test-dead-letter")),
    );
  });

  it.each([0, 11])("refuses %i sources: SQS takes 1 to 10 by name", async (count) => {
    const sources = Array.from({ length: count }, (_, index) => `queue-${index}`);
    await expect(made({}, { sources })).rejects.toThrow(
      `dead-letter queue "dead-letter": expected 1 to 10 source queues, got ${count}.`,
    );
  });
});

describe("the grants", () => {
  it("name exactly what the runtime calls, on exactly the one queue", async () => {
    const { outputs } = await deploy(() => {
      const { queue, deadLetter } = queues();
      return {
        grants: [
          queue.sendStatement(),
          queue.consumeStatement(),
          queue.depthStatement(),
          deadLetter.sendStatement(),
          deadLetter.redriveStatement(),
          deadLetter.depthStatement(),
        ],
      };
    });
    const [own, dead] = [[arnOf("taskiq-test-default")], [arnOf("taskiq-test-dead-letter")]];
    const consume = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"];
    expect(await resolved(outputs.grants)).toEqual([
      { Sid: "SendToDefault", Effect: "Allow", Action: ["sqs:SendMessage"], Resource: own },
      { Sid: "ConsumeDefault", Effect: "Allow", Action: consume, Resource: own },
      { Sid: "ReadDepthOfDefault", Effect: "Allow", Action: ["sqs:GetQueueAttributes"], Resource: own },
      { Sid: "SendToDeadLetter", Effect: "Allow", Action: ["sqs:SendMessage"], Resource: dead },
      { Sid: "RedriveDeadLetter", Effect: "Allow", Action: consume, Resource: dead },
      { Sid: "ReadDepthOfDeadLetter", Effect: "Allow", Action: ["sqs:GetQueueAttributes"], Resource: dead },
    ]);
  });
});
