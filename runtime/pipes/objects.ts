/** S3 for Pipes sessions: the context is read, messages are written. With this process's own role, so a session says which bucket it may use. */
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { PipesObjects } from "./channel.ts";

export type PipesS3Options = {
  /** Default: AWS_REGION of the process. */
  readonly region?: string | undefined;
  /** An emulator's address; the bucket then stands in the path. Default: AWS, or AWS_ENDPOINT_URL of the process. */
  readonly endpoint?: string | undefined;
  /** Default: the SDK's chain of environment, profile, container and instance role. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
};

const ATTEMPTS = 4;
const REQUEST_TIMEOUT_MS = 15_000;
const MAX_CONTEXT_BYTES = 16 * 1_048_576;

export function openPipesObjects({ region, endpoint, credentials }: PipesS3Options): PipesObjects {
  const client = new S3Client({
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: REQUEST_TIMEOUT_MS, throwOnRequestTimeout: true },
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    ...(region !== undefined && { region }),
    ...(credentials !== undefined && { credentials }),
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
  });
  return {
    async read(bucket, key) {
      const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      if ((answer.ContentLength ?? 0) > MAX_CONTEXT_BYTES) {
        throw new RangeError(
          `s3://${bucket}/${key}: expected at most ${MAX_CONTEXT_BYTES} bytes, got ${answer.ContentLength}.`,
        );
      }
      return (await answer.Body?.transformToString("utf8")) ?? "";
    },
    async write(bucket, key, text) {
      await client.send(
        new PutObjectCommand({ Bucket: bucket, Key: key, Body: text, ContentType: "application/json" }),
      );
    },
  };
}
