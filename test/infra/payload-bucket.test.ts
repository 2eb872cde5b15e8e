import { describe, expect, it } from "vitest";
import { PayloadBucket, type PayloadBucketArgs } from "../../infra/payload-bucket.ts";
import { PAYLOAD_PREFIX, RESULT_PREFIX } from "../../infra/payload-prefixes.ts";
import { openPayloadStore } from "../../runtime/payload/s3.ts";
import { ACCOUNT, deploy, PARTITION, policyOf, REGION, resolved } from "./support.ts";

const BUCKET = "arn:aws:s3:::payloads-abc1234";

const made = (args: Partial<PayloadBucketArgs> = {}) =>
  deploy(() => {
    const bucket = new PayloadBucket("payloads", {
      expireDays: 400,
      forceDestroy: false,
      account: { accountId: ACCOUNT, region: REGION, partition: PARTITION },
      ...args,
    });
    return {
      bucketName: bucket.bucketName,
      grants: [
        bucket.readStatement(),
        bucket.writeStatement(),
        bucket.writeResultsStatement(),
        bucket.deleteStatement(),
        bucket.listStatement(),
      ],
      extended: bucket.readExtendedStatements(),
      collect: bucket.collectResultsStatements(),
    };
  });

describe("the payload bucket", () => {
  it("is a bucket and the five settings that S3 keeps apart", async () => {
    const { names, find } = await made();
    expect(names()).toEqual([
      "aws:s3/bucket:Bucket payloads",
      "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration payloads-lifecycle",
      "aws:s3/bucketOwnershipControls:BucketOwnershipControls payloads-ownership",
      "aws:s3/bucketPolicy:BucketPolicy payloads-policy",
      "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock payloads-public-access",
      "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration payloads-encryption",
      "taskiq-aws:infra:PayloadBucket payloads",
    ]);
    expect(find("aws:s3/bucket:Bucket").inputs).toEqual({ forceDestroy: false });
  });

  it("has no public access, no ACLs, and encrypts everything", async () => {
    const { find } = await made();
    expect(find("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs).toEqual({
      bucket: "payloads-abc1234",
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    });
    expect(find("aws:s3/bucketOwnershipControls:BucketOwnershipControls").inputs).toEqual({
      bucket: "payloads-abc1234",
      rule: { objectOwnership: "BucketOwnerEnforced" },
    });
    expect(
      find("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration").inputs,
    ).toEqual({
      bucket: "payloads-abc1234",
      rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" }, bucketKeyEnabled: true }],
    });
  });

  it("refuses plain HTTP, other accounts, and objects anywhere but under its prefixes", async () => {
    const { find } = await made();
    const all = { Effect: "Deny", Principal: "*", Action: "s3:*", Resource: [BUCKET, `${BUCKET}/*`] };
    expect(policyOf(find("aws:s3/bucketPolicy:BucketPolicy").inputs.policy)).toEqual({
      Version: "2012-10-17",
      Statement: [
        { Sid: "DenyPlainHttp", ...all, Condition: { Bool: { "aws:SecureTransport": "false" } } },
        { Sid: "DenyOtherAccounts", ...all, Condition: { StringNotEquals: { "aws:PrincipalAccount": ACCOUNT } } },
        {
          Sid: "DenyWritesElsewhere",
          Effect: "Deny",
          Principal: "*",
          Action: "s3:PutObject",
          NotResource: [`${BUCKET}/v1/*`, `${BUCKET}/results/*`],
        },
      ],
    });
  });

  it("admits plain HTTP only where it is told to", async () => {
    const { find } = await made({ tlsOnly: false });
    const { Statement: statements } = policyOf(find("aws:s3/bucketPolicy:BucketPolicy").inputs.policy);
    expect(statements.map(({ Sid }) => Sid)).toEqual(["DenyOtherAccounts", "DenyWritesElsewhere"]);
  });

  it("deletes payloads and results by age, and what failed uploads leave after a day", async () => {
    const { find } = await made({ resultExpireDays: 7 });
    expect(find("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs.rules).toEqual([
      { id: "payloads", status: "Enabled", filter: { prefix: "v1/" }, expiration: { days: 400 } },
      { id: "results", status: "Enabled", filter: { prefix: "results/" }, expiration: { days: 7 } },
      {
        id: "leftovers",
        status: "Enabled",
        filter: { prefix: "" },
        abortIncompleteMultipartUpload: { daysAfterInitiation: 1 },
        noncurrentVersionExpiration: { noncurrentDays: 1 },
      },
    ]);
  });

  it("takes large messages of other producers where told to, and lets them be read, by the ending of their keys", async () => {
    const { find, outputs } = await made({ extendedPrefixes: ["", "large/"] });
    const { Statement: statements } = policyOf(find("aws:s3/bucketPolicy:BucketPolicy").inputs.policy);
    const keys = [`${BUCKET}/*.json`, `${BUCKET}/large/*.json`];
    expect(statements.find(({ Sid }) => Sid === "DenyWritesElsewhere")).toMatchObject({
      NotResource: [`${BUCKET}/v1/*`, `${BUCKET}/results/*`, ...keys],
    });
    expect(await resolved(outputs.extended)).toEqual([
      {
        Sid: "ReadMessagesInPayloads",
        Effect: "Allow",
        Action: ["s3:GetObject"],
        Resource: keys,
        Condition: { StringEquals: { "aws:ResourceAccount": ACCOUNT } },
      },
    ]);
    expect(await resolved((await made()).outputs.extended)).toEqual([]);
  });

  it("deletes large messages by age where they have a place of their own", async () => {
    const { find } = await made({ extendedPrefixes: ["", "large/", "results/large/"] });
    const { rules } = find("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs as {
      rules: { id: string; filter: object }[];
    };
    expect(rules.map(({ id, filter }) => [id, filter])).toEqual([
      ["payloads", { prefix: "v1/" }],
      ["results", { prefix: "results/" }],
      ["messages-large/", { prefix: "large/" }],
      ["leftovers", { prefix: "" }],
    ]);
  });

  it("has grants on its prefixes, which a stranger's bucket of the same name does not satisfy", async () => {
    const { outputs } = await made();
    const ours = { StringEquals: { "aws:ResourceAccount": ACCOUNT } };
    const grant = (Sid: string, action: string, ...resources: string[]) => ({
      Sid,
      Effect: "Allow",
      Action: [action],
      Resource: resources,
      Condition: ours,
    });
    expect(await resolved(outputs.grants)).toEqual([
      grant("ReadPayloads", "s3:GetObject", `${BUCKET}/v1/*`),
      grant("WritePayloads", "s3:PutObject", `${BUCKET}/v1/*`),
      grant("WriteResultsToPayloads", "s3:PutObject", `${BUCKET}/results/*`),
      grant("DeletePayloads", "s3:DeleteObject", `${BUCKET}/v1/*`),
      grant("ListPayloads", "s3:ListBucket", BUCKET),
    ]);
    expect(await resolved(outputs.collect)).toEqual([
      grant("ReadResultsInPayloads", "s3:GetObject", `${BUCKET}/results/*`),
      grant("DeleteResultsInPayloads", "s3:DeleteObject", `${BUCKET}/results/*`),
    ]);
  });

  it("has the prefixes of the runtime: it takes no other key, and gives none of its own to foreign results", async () => {
    const store = openPayloadStore({ region: REGION, endpoint: "http://127.0.0.1:9", bucket: "b", maxBytes: 1 });
    try {
      const key = (prefix: string) => `${prefix}2026-01-01/01890000-0000-7000-8000-000000000000/${"a".repeat(64)}`;
      const refused = { code: "payload_ref_invalid" };
      await expect(store.remove([key("v2/")])).rejects.toMatchObject(refused);
      await expect(store.putAt(key(PAYLOAD_PREFIX), "")).rejects.toMatchObject(refused);
      expect(RESULT_PREFIX.startsWith(PAYLOAD_PREFIX)).toBe(false);
    } finally {
      store.close();
    }
  });
});
