import { describe, expect, it } from "vitest";
import { policyDocument, type Statement, sid } from "../../infra/statement.ts";
import { policyOf, resolved } from "./support.ts";

const statement = (Sid: string): Statement => ({
  Sid,
  Effect: "Allow",
  Action: ["sqs:SendMessage"],
  Resource: ["arn:aws:sqs:us-east-1:111122223333:jobs"],
});

describe("a policy document", () => {
  it("has the version that knows every operator, and the statements as they are", async () => {
    const document = await resolved(policyDocument([statement("A"), statement("B")]));
    expect(policyOf(document)).toEqual({ Version: "2012-10-17", Statement: [statement("A"), statement("B")] });
  });

  it("refuses two statements with one Sid, as IAM would", () => {
    expect(() => policyDocument([statement("A"), statement("A")])).toThrow(
      'expected statements with different Sids, got "A" twice. Pass each resource\'s statement once.',
    );
  });
});

describe("a Sid", () => {
  it.each([
    ["default", "SendToDefault"],
    ["dead-letter.fifo", "SendToDeadLetterFifo"],
    ["a_b-9", "SendToAB9"],
  ])("of %s has letters and digits only", (name, expected) => {
    expect(sid("SendTo", name)).toBe(expected);
    expect(sid("SendTo", name)).toMatch(/^[A-Za-z0-9]+$/);
  });
});
