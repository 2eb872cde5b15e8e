import { describe, expect, it } from "vitest";
import { translate } from "./emulator-grants.ts";

const QUEUE = "arn:aws:sqs:us-east-1:000000000000:taskiq-default";

describe("translate", () => {
  it("names the batch of each action that has one, on the same queues", () => {
    expect(
      translate({ Effect: "Allow", Action: ["sqs:SendMessage", "sqs:GetQueueAttributes"], Resource: QUEUE }),
    ).toEqual([{ Effect: "Allow", Action: ["sqs:SendMessageBatch"], Resource: [QUEUE] }]);
  });

  it("names the cluster of a service, and of its tasks", () => {
    for (const resource of ["service/main/worker", "task/main/*"]) {
      const arn = `arn:aws:ecs:us-east-1:000000000000:${resource}`;
      expect(translate({ Effect: "Allow", Action: "ecs:UpdateService", Resource: [arn] })).toEqual([
        {
          Effect: "Allow",
          Action: ["ecs:UpdateService"],
          Resource: ["arn:aws:ecs:us-east-1:000000000000:cluster/main"],
        },
      ]);
    }
  });

  it("adds nothing to what both say alike", () => {
    expect(translate({ Effect: "Allow", Action: ["s3:GetObject"], Resource: "arn:aws:s3:::payloads/v1/*" })).toEqual(
      [],
    );
  });
});
