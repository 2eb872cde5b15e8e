/**
 * Inputs and results that are too large for a row. The bucket is private, reachable by TLS and from this account only,
 * and takes objects nowhere but under its two prefixes, so a wrong key cannot hide among the payloads. Where a queue accepts messages of other
 * producers it also takes those that were too large for SQS.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { EXTENDED_SUFFIX, PAYLOAD_PREFIX, RESULT_PREFIX } from "./payload-prefixes.ts";
import { type Account, type Statement, sid } from "./statement.ts";

export type PayloadBucketArgs = {
  /**
   * Days until a payload is deleted, whatever its task does: a backstop behind the runtime, which deletes payloads with
   * their tasks. So it must exceed the longest delay of a task plus the time finished tasks are kept.
   */
  readonly expireDays: number;
  /** Days until a result written for a foreign producer, or a large message of one, is deleted; SQS keeps no message longer than 14. Default 30. */
  readonly resultExpireDays?: number;
  /**
   * What the keys of messages start with that other producers put here because they are too large for SQS; each ends in `.json`. Empty text: any
   * such key, also at the root, where nothing deletes them by age. Others end in a slash. Default none.
   */
  readonly extendedPrefixes?: readonly string[];
  /** Deletes the objects with the bucket; otherwise a bucket that has some cannot be deleted. */
  readonly forceDestroy: boolean;
  readonly account: Account;
  /** Refuses plain HTTP. Default true; false only where an emulator without TLS enforces bucket policies. */
  readonly tlsOnly?: boolean;
};

export class PayloadBucket extends pulumi.ComponentResource {
  readonly bucketName: pulumi.Output<string>;
  readonly arn: pulumi.Output<string>;
  readonly #name: string;
  readonly #account: Account;
  readonly #extendedPrefixes: readonly string[];

  constructor(name: string, args: PayloadBucketArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:PayloadBucket", name, {}, opts);
    const child = { parent: this };
    this.#name = name;
    this.#account = args.account;
    this.#extendedPrefixes = args.extendedPrefixes ?? [];
    const made = new aws.s3.Bucket(name, { forceDestroy: args.forceDestroy }, child);
    this.bucketName = made.bucket;
    this.arn = made.arn;
    const bucket = made.bucket;
    const publicAccess = new aws.s3.BucketPublicAccessBlock(
      `${name}-public-access`,
      { bucket, blockPublicAcls: true, blockPublicPolicy: true, ignorePublicAcls: true, restrictPublicBuckets: true },
      child,
    );
    new aws.s3.BucketOwnershipControls(
      `${name}-ownership`,
      { bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
      child,
    );
    new aws.s3.BucketServerSideEncryptionConfiguration(
      `${name}-encryption`,
      {
        bucket,
        rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" }, bucketKeyEnabled: true }],
      },
      child,
    );
    new aws.s3.BucketPolicy(
      `${name}-policy`,
      { bucket, policy: bucketPolicy(this.arn, args) },
      // S3 refuses two changes of a bucket's access at once ("conflicting conditional operation").
      { parent: this, dependsOn: [publicAccess] },
    );
    new aws.s3.BucketLifecycleConfiguration(`${name}-lifecycle`, { bucket, rules: lifecycle(args) }, child);
    this.registerOutputs({ bucketName: this.bucketName, arn: this.arn });
  }

  readStatement(): Statement {
    return this.#grant("Read", "s3:GetObject", [`${PAYLOAD_PREFIX}*`]);
  }

  writeStatement(): Statement {
    return this.#grant("Write", "s3:PutObject", [`${PAYLOAD_PREFIX}*`]);
  }

  /** Messages that other producers put here; none where no queue accepts any. */
  readExtendedStatements(): Statement[] {
    const keys = this.#extendedPrefixes.map((prefix) => `${prefix}*${EXTENDED_SUFFIX}`);
    return keys.length === 0 ? [] : [this.#grant("ReadMessagesIn", "s3:GetObject", keys)];
  }

  /** Results for foreign producers, and large messages to workers of Python, which the executor loops send. */
  writeResultsStatement(): Statement {
    return this.#grant("WriteResultsTo", "s3:PutObject", [`${RESULT_PREFIX}*`]);
  }

  /** Takes results of workers of Python in, and deletes them then. */
  collectResultsStatements(): Statement[] {
    const keys = [`${RESULT_PREFIX}*`];
    return [
      this.#grant("ReadResultsIn", "s3:GetObject", keys),
      this.#grant("DeleteResultsIn", "s3:DeleteObject", keys),
    ];
  }

  /** Single objects and batches: IAM knows one action for both. */
  deleteStatement(): Statement {
    return this.#grant("Delete", "s3:DeleteObject", [`${PAYLOAD_PREFIX}*`]);
  }

  /**
   * Whether the bucket is there (HeadBucket). Whoever reads needs it as well: without it S3 answers a missing key with
   * "access denied", and a payload that expired would look like an outage.
   */
  listStatement(): Statement {
    return { ...this.#grant("List", "s3:ListBucket", []), Resource: [this.arn] };
  }

  /** A bucket's ARN names no account: the condition refuses a stranger's bucket of the same name. */
  #grant(verb: string, action: string, keys: readonly string[]): Statement {
    return {
      Sid: sid(verb, this.#name),
      Effect: "Allow",
      Action: [action],
      Resource: keys.map((key) => pulumi.interpolate`${this.arn}/${key}`),
      Condition: { StringEquals: { "aws:ResourceAccount": this.#account.accountId } },
    };
  }
}

function bucketPolicy(
  arn: pulumi.Output<string>,
  { account, tlsOnly = true, extendedPrefixes = [] }: PayloadBucketArgs,
) {
  const deny = { Effect: "Deny", Principal: "*" };
  const everything = { Action: "s3:*", Resource: [arn, pulumi.interpolate`${arn}/*`] };
  const plainHttp = {
    Sid: "DenyPlainHttp",
    ...deny,
    ...everything,
    Condition: { Bool: { "aws:SecureTransport": "false" } },
  };
  const otherAccounts = {
    Sid: "DenyOtherAccounts",
    ...deny,
    ...everything,
    Condition: { StringNotEquals: { "aws:PrincipalAccount": account.accountId } },
  };
  const otherKeys = {
    Sid: "DenyWritesElsewhere",
    ...deny,
    Action: "s3:PutObject",
    NotResource: [
      ...[PAYLOAD_PREFIX, RESULT_PREFIX].map((prefix) => `${prefix}*`),
      ...extendedPrefixes.map((prefix) => `${prefix}*${EXTENDED_SUFFIX}`),
    ].map((key) => pulumi.interpolate`${arn}/${key}`),
  };
  return pulumi.jsonStringify({
    Version: "2012-10-17",
    Statement: [...(tlsOnly ? [plainHttp] : []), otherAccounts, otherKeys],
  });
}

function lifecycle({ expireDays, resultExpireDays = 30, extendedPrefixes = [] }: PayloadBucketArgs) {
  const expire = (id: string, prefix: string, days: number) => ({
    id,
    status: "Enabled",
    filter: { prefix },
    expiration: { days },
  });
  return [
    expire("payloads", PAYLOAD_PREFIX, expireDays),
    expire("results", RESULT_PREFIX, resultExpireDays),
    // A rule knows no endings: without a prefix it would delete payloads.
    ...extendedPrefixes
      .filter((prefix) => prefix !== "" && !prefix.startsWith(RESULT_PREFIX))
      .map((prefix) => expire(`messages-${prefix}`, prefix, resultExpireDays)),
    {
      id: "leftovers",
      status: "Enabled",
      filter: { prefix: "" },
      abortIncompleteMultipartUpload: { daysAfterInitiation: 1 },
      // The bucket keeps no versions; where somebody turns them on, deleted payloads shall not stay.
      noncurrentVersionExpiration: { noncurrentDays: 1 },
    },
  ];
}
