import { describe, expect, it } from "vitest";
import { CancelQueue } from "../../infra/cancel-queue.ts";
import { ACCOUNT, deploy, PARTITION, policyOf, REGION, resolved } from "./support.ts";

const ARN = "arn:aws:sqs:us-east-1:111122223333:taskiq-test-cancel";

const made = () =>
  deploy(() => {
    const queue = new CancelQueue("cancel", {
      queueName: "taskiq-test-cancel",
      account: { accountId: ACCOUNT, region: REGION, partition: PARTITION },
    });
    return {
      arn: queue.arn,
      grants: [queue.sendStatement(), queue.takeStatement(), queue.depthStatement()],
    };
  });

describe("the cancel queue", () => {
  it("keeps requests a day, hides them 30 s, and has no dead-letter queue", async () => {
    const { find } = await made();
    const { policy, ...settings } = find("aws:sqs/queue:Queue", "cancel").inputs;
    expect(settings).toEqual({
      name: "taskiq-test-cancel",
      visibilityTimeoutSeconds: 30,
      messageRetentionSeconds: 86_400,
      receiveWaitTimeSeconds: 20,
      sqsManagedSseEnabled: true,
    });
    expect(policyOf(policy).Statement.map(({ Sid, Effect }) => `${Effect} ${Sid}`)).toEqual([
      "Deny DenyPlainHttp",
      "Deny DenyOtherAccounts",
    ]);
  });

  it("lets requests be sent, and taken by those who record them", async () => {
    const { outputs } = await made();
    expect(outputs.arn).toBe(ARN);
    const grants = await resolved(outputs.grants);
    expect(grants.map(({ Sid, Action, Resource }) => ({ Sid, Action, Resource }))).toEqual([
      { Sid: "SendToCancel", Action: ["sqs:SendMessage"], Resource: [ARN] },
      {
        Sid: "ConsumeCancel",
        Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
        Resource: [ARN],
      },
      { Sid: "ReadDepthOfCancel", Action: ["sqs:GetQueueAttributes"], Resource: [ARN] },
    ]);
  });
});
