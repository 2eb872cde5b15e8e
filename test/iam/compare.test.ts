import { describe, expect, it } from "vitest";
import type { AwsCall } from "../support/aws-proxy.ts";
import { compare, type Grant, grantsOf } from "./compare.ts";
import { type Permission, permissionsOf } from "./permissions.ts";

const QUEUE = "arn:aws:sqs:us-east-1:111122223333:jobs";
const OTHER = "arn:aws:sqs:us-east-1:111122223333:other";
const BUCKET = "arn:aws:s3:::payloads";
const PLACE = { partition: "aws", region: "us-east-1", accountId: "111122223333" };

const done: readonly Permission[] = [
  { action: "sqs:SendMessage", resource: QUEUE, widest: QUEUE },
  { action: "s3:GetObject", resource: `${BUCKET}/v1/2026-11-21/a`, widest: `${BUCKET}/v1/*` },
  { action: "s3:GetObject", resource: `${BUCKET}/v1/2026-11-21/b`, widest: `${BUCKET}/v1/*` },
];
const grant = (action: string, resource: string, condition: Grant["condition"] = {}): Grant => ({
  action,
  resource,
  condition,
});
const send = grant("sqs:SendMessage", QUEUE);
const read = grant("s3:GetObject", `${BUCKET}/v1/*`);

describe("a policy", () => {
  it("that allows what was done fits", () => {
    expect(compare({ permissions: done, grants: [send, read] })).toEqual([]);
  });

  it.each([
    ["without an action", [read], [`not allowed: sqs:SendMessage on ${QUEUE}`]],
    [
      "with another action besides",
      [send, read, grant("sqs:PurgeQueue", QUEUE)],
      [`never needed: sqs:PurgeQueue on ${QUEUE}`],
    ],
    [
      "for another resource besides",
      [send, read, grant("sqs:SendMessage", OTHER)],
      [`never needed: sqs:SendMessage on ${OTHER}`],
    ],
    [
      "for another resource instead",
      [read, grant("sqs:SendMessage", OTHER)],
      [`not allowed: sqs:SendMessage on ${QUEUE}`, `never needed: sqs:SendMessage on ${OTHER}`],
    ],
    [
      "for any queue",
      [read, grant("sqs:SendMessage", "arn:aws:sqs:us-east-1:111122223333:*")],
      [`wider than needed: sqs:SendMessage on arn:aws:sqs:us-east-1:111122223333:*, where ${QUEUE} is enough`],
    ],
    [
      "for a whole bucket",
      [send, grant("s3:GetObject", `${BUCKET}/*`)],
      [`wider than needed: s3:GetObject on ${BUCKET}/*, where ${BUCKET}/v1/* is enough`],
    ],
    [
      "for everything",
      [send, grant("s3:GetObject", "*")],
      [`wider than needed: s3:GetObject on *, where ${BUCKET}/v1/* is enough`],
    ],
    ["for every action", [send, read, grant("sqs:*", QUEUE)], [`never needed: sqs:* on ${QUEUE}`]],
    [
      "whose ARN has a character that means something else in a pattern",
      [send, grant("s3:GetObject", `${BUCKET}.v1/*`)],
      [
        `not allowed: s3:GetObject on ${BUCKET}/v1/2026-11-21/a`,
        `not allowed: s3:GetObject on ${BUCKET}/v1/2026-11-21/b`,
        `never needed: s3:GetObject on ${BUCKET}.v1/*`,
      ],
    ],
  ] as const)("%s does not", (_, grants, problems) => {
    expect(compare({ permissions: done, grants })).toEqual(problems);
  });

  it("allows what its condition admits", () => {
    const grants = [read, grant("sqs:SendMessage", QUEUE, { StringEquals: { "aws:ResourceAccount": ["1", "2"] } })];
    expect(compare({ permissions: done, grants, context: { "aws:ResourceAccount": "2" } })).toEqual([]);
    expect(compare({ permissions: done, grants, context: { "aws:ResourceAccount": "3" } })).toHaveLength(1);
    const unknown = [grant("sqs:SendMessage", QUEUE, { NumericLessThan: { "s3:max-keys": "1" } })];
    expect(() => compare({ permissions: done, grants: unknown })).toThrow("NumericLessThan");
  });

  it("may allow what is excepted, for as long as nothing needs it", () => {
    const exception = { action: "sqs:SendMessage", resource: OTHER, reason: "Not yet." };
    const other = grant("sqs:SendMessage", OTHER);
    expect(compare({ permissions: done, grants: [send, read, other], exceptions: [exception] })).toEqual([]);
    const stale = [expect.stringContaining("exception without a grant")];
    expect(compare({ permissions: done, grants: [send, read], exceptions: [exception] })).toEqual(stale);
    const used = [...done, { action: "sqs:SendMessage", resource: OTHER, widest: OTHER }];
    expect(compare({ permissions: used, grants: [send, read, other], exceptions: [exception] })).toEqual(stale);
  });

  it("is read action by action and resource by resource, and only where it allows", () => {
    const document = (statement: object) => JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
    expect(grantsOf(document({ Effect: "Allow", Action: ["a:B", "a:C"], Resource: ["x", "y"] }))).toHaveLength(4);
    expect(() => grantsOf(document({ Effect: "Deny", Action: "a:B", Resource: "x" }))).toThrow("Deny");
    expect(() => grantsOf(document({ Effect: "Allow", NotAction: "a:B", Resource: "x" }))).toThrow("without");
  });
});

describe("a call", () => {
  const call = (operation: string, path: string, target: string | null, body: object | string = ""): AwsCall => ({
    operation,
    path,
    headers: target === null ? {} : { "x-amz-target": target },
    body: typeof body === "string" ? body : JSON.stringify(body),
    connection: 1,
  });
  const url = "https://sqs.us-east-1.amazonaws.com/111122223333/jobs";
  const service = { cluster: "c", service: "s" };
  const arn = "arn:aws:ecs:us-east-1:111122223333:service/c/s";

  it.each([
    [call("SendMessageBatch", "/", "AmazonSQS.SendMessageBatch", { QueueUrl: url }), ["sqs:SendMessage", QUEUE, QUEUE]],
    [
      call("DeleteMessageBatch", "/", "AmazonSQS.DeleteMessageBatch", { QueueUrl: url }),
      ["sqs:DeleteMessage", QUEUE, QUEUE],
    ],
    [
      call("ChangeMessageVisibilityBatch", "/", "AmazonSQS.ChangeMessageVisibilityBatch", { QueueUrl: url }),
      ["sqs:ChangeMessageVisibility", QUEUE, QUEUE],
    ],
    [
      call("UpdateService", "/", "AmazonEC2ContainerServiceV20141113.UpdateService", service),
      ["ecs:UpdateService", arn, arn],
    ],
    [
      call("DescribeServices", "/", "AmazonEC2ContainerServiceV20141113.DescribeServices", {
        cluster: "c",
        services: ["s"],
      }),
      ["ecs:DescribeServices", arn, arn],
    ],
    [
      call("GetSecretValue", "/", "secretsmanager.GetSecretValue", { SecretId: "arn:secret" }),
      ["secretsmanager:GetSecretValue", "arn:secret", "arn:secret"],
    ],
    [call("HEAD", "/payloads", null), ["s3:ListBucket", BUCKET, BUCKET]],
    [call("HEAD", "/payloads/v1/a", null), ["s3:GetObject", `${BUCKET}/v1/a`, `${BUCKET}/v1/*`]],
    [call("GET", "/payloads/v1/a?x-id=GetObject", null), ["s3:GetObject", `${BUCKET}/v1/a`, `${BUCKET}/v1/*`]],
    [
      call("PUT", "/payloads/results/a?x-id=PutObject", null),
      ["s3:PutObject", `${BUCKET}/results/a`, `${BUCKET}/results/*`],
    ],
    [
      call("POST", "/payloads/?delete", null, "<Delete><Object><Key>v1/a</Key></Object></Delete>"),
      ["s3:DeleteObject", `${BUCKET}/v1/a`, `${BUCKET}/v1/*`],
    ],
  ])("needs the permission that AWS asks for it (%#)", (one, [action, resource, widest]) => {
    expect(permissionsOf(one, { status: 200 }, PLACE)).toEqual([{ action, resource, widest }]);
  });

  it("for an object that is not there needs to list the bucket besides", () => {
    const got = permissionsOf(call("GET", "/payloads/v1/a?x-id=GetObject", null), { status: 404 }, PLACE);
    expect(got.map(({ action }) => action)).toEqual(["s3:GetObject", "s3:ListBucket"]);
  });

  it.each([
    call("TagQueue", "/", "AmazonSQS.TagQueue", { QueueUrl: url }),
    call("ListSecrets", "/", "secretsmanager.ListSecrets", {}),
    call("RunTask", "/", "AmazonEC2ContainerServiceV20141113.RunTask", { cluster: "c" }),
    call("GET", "/payloads?list-type=2", null),
    call("PUT", "/payloads/v1/a?tagging", null),
  ])("of an operation that nobody has looked up is refused (%#)", (one) => {
    expect(() => permissionsOf(one, { status: 200 }, PLACE)).toThrow("whose permission is known");
  });
});
