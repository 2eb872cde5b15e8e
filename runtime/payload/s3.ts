/**
 * Payloads in S3. The reference in a row is the object's key and no more: the bucket comes from the configuration, so a
 * reference that somebody forged can at most name another payload of ours, and the digest at its end says which bytes.
 *
 * The emulator that tests and demo use refuses requests above 11 MiB, so texts beyond that cannot be stored on it.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { type Clock, systemClock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import type { PayloadStore } from "./payload.ts";

export type S3Options = {
  readonly region: string;
  /** Where requests go, for example `http://localhost:4566`; the bucket then stands in the path. Default: AWS. */
  readonly endpoint?: string;
  /** Default: the SDK's chain of environment, profile, container and instance role. */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  readonly bucket: string;
  /** The account that must own the bucket; S3 refuses every call otherwise. Default: not checked. */
  readonly bucketOwner?: string;
  /** Largest text in UTF-8 that is stored or read. */
  readonly maxBytes: number;
  /** One try, from sending to the head of the answer. Default 15,000 ms. */
  readonly requestTimeoutMs?: number;
  /** How long a body may stand still. Default 5,000 ms. */
  readonly idleTimeoutMs?: number;
  readonly clock?: Clock;
};

export type S3PayloadStore = PayloadStore & {
  /** Closes the connections. */
  close(): void;
};

const ATTEMPTS = 4;
const CONNECT_TIMEOUT_MS = 3_000;
const DELETES_PER_REQUEST = 1_000;
const LISTED_PER_REQUEST = 1_000;
const MAX_KEY_BYTES = 1_024;
const TASK_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const REF = /^v1\/\d{4}-\d{2}-\d{2}\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\/([0-9a-f]{64})$/;

export function openPayloadStore(options: S3Options): S3PayloadStore {
  const { bucket, maxBytes } = options;
  const clock = options.clock ?? systemClock;
  const client = new S3Client({
    region: options.region,
    maxAttempts: ATTEMPTS,
    // Every text is sent with its SHA-256 and compared with it when read; the SDK's own CRC would be a second check.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: options.requestTimeoutMs ?? 15_000,
      throwOnRequestTimeout: true,
      // The request timeout ends with the head of the answer.
      socketTimeout: options.idleTimeoutMs ?? 5_000,
    },
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint, forcePathStyle: true }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  });
  const place = {
    Bucket: bucket,
    ...(options.bucketOwner === undefined ? {} : { ExpectedBucketOwner: options.bucketOwner }),
  };

  async function store(key: string, body: Buffer, digest: Buffer): Promise<void> {
    try {
      await client.send(
        new PutObjectCommand({
          ...place,
          Key: key,
          Body: body,
          ContentLength: body.length,
          ContentType: "application/json",
          ChecksumSHA256: digest.toString("base64"),
        }),
      );
    } catch (error) {
      throw unavailable(`store ${key}`, bucket, error);
    }
  }

  /** The SDK repeats what fails before the answer's head; a body that breaks off is repeated here. */
  async function load(key: string, attempt = 1): Promise<Buffer> {
    let answer: GetObjectCommandOutput;
    try {
      answer = await client.send(new GetObjectCommand({ ...place, Key: key }));
    } catch (error) {
      if (error instanceof Error && error.name === "NoSuchKey") {
        throw new TaskiqError(
          "payload_missing",
          `expected an object at ${key} in bucket "${bucket}", got none. It expired or was deleted: run the task again.`,
          { cause: error },
        );
      }
      throw unavailable(`read ${key}`, bucket, error);
    }
    try {
      return await boundedBody(answer, maxBytes);
    } catch (error) {
      if (error instanceof TaskiqError) throw error;
      if (attempt === ATTEMPTS) throw unavailable(`read ${key}`, bucket, error);
      return load(key, attempt + 1);
    }
  }

  function encoded(text: string): { body: Buffer; digest: Buffer } {
    if (!text.isWellFormed()) {
      throw new TaskiqError(
        "not_json",
        "expected text that UTF-8 can carry, got half of a surrogate pair. Write it as a \\u escape.",
      );
    }
    const body = Buffer.from(text);
    if (body.length > maxBytes) throw tooLarge(`${body.length} bytes`, maxBytes);
    return { body, digest: sha256(body) };
  }

  async function removeAll(keys: readonly string[]): Promise<void> {
    for (let start = 0; start < keys.length; start += DELETES_PER_REQUEST) {
      const objects = keys.slice(start, start + DELETES_PER_REQUEST).map((Key) => ({ Key }));
      try {
        const { Errors: errors } = await client.send(
          new DeleteObjectsCommand({ ...place, Delete: { Objects: objects, Quiet: true } }),
        );
        const first = errors?.[0];
        if (first !== undefined)
          throw new Error(`${errors?.length} not deleted, the first ${first.Key}: ${first.Code}`);
      } catch (error) {
        throw unavailable(`delete ${objects.length} objects`, bucket, error);
      }
    }
  }

  return {
    bucket,

    async put(taskId, text) {
      if (!TASK_ID.test(taskId)) throw invalidRef("a task id in lower-case UUID form", taskId);
      const { body, digest } = encoded(text);
      const day = new Date(clock.wallMs()).toISOString().slice(0, "yyyy-mm-dd".length);
      const key = `v1/${day}/${taskId}/${digest.toString("hex")}`;
      await store(key, body, digest);
      return key;
    },

    async get(ref) {
      const expected = digestIn(ref);
      const body = await load(ref);
      const actual = sha256(body).toString("hex");
      if (actual !== expected) {
        throw new TaskiqError(
          "payload_corrupt",
          `expected ${ref} to have the SHA-256 in its name, got ${body.length} bytes with ${actual}. ` +
            "The object was overwritten or damaged: run the task again.",
        );
      }
      return body.toString("utf8");
    },

    async getFrom({ bucket: named, key }, prefix) {
      // What a sender names is the sender's choice: payloads of other tenants are no business of a message.
      const isOurs = named === bucket && key.startsWith(prefix) && !key.startsWith("v1/");
      if (!isOurs || key === "" || Buffer.byteLength(key) > MAX_KEY_BYTES) {
        throw new TaskiqError(
          "payload_ref_invalid",
          `expected an object of bucket "${bucket}" whose key begins with "${prefix}" and not with "v1/", got ${JSON.stringify(key.slice(0, 100))} of ${JSON.stringify(named.slice(0, 63))}.`,
        );
      }
      const body = await load(key);
      if (!isUtf8(body)) {
        throw new TaskiqError("payload_corrupt", `expected UTF-8 at ${key}, got ${body.length} bytes that are none.`);
      }
      return body.toString("utf8");
    },

    async putAt(key, text) {
      checkOutside(key);
      const { body, digest } = encoded(text);
      await store(key, body, digest);
    },

    async listAt(prefix, limit) {
      checkOutside(prefix);
      const keys: string[] = [];
      let after: string | undefined;
      try {
        do {
          const page = await client.send(
            new ListObjectsV2Command({
              ...place,
              Prefix: prefix,
              MaxKeys: Math.min(LISTED_PER_REQUEST, limit - keys.length),
              ...(after !== undefined && { StartAfter: after }),
            }),
          );
          keys.push(...(page.Contents ?? []).flatMap(({ Key }) => Key ?? []));
          after = page.IsTruncated === true ? keys.at(-1) : undefined;
        } while (after !== undefined && keys.length < limit);
      } catch (error) {
        throw unavailable(`list ${prefix}`, bucket, error);
      }
      return keys;
    },

    async removeAt(keys) {
      for (const key of keys) checkOutside(key);
      await removeAll(keys);
    },

    async remove(refs) {
      for (const ref of refs) digestIn(ref);
      await removeAll(refs);
    },

    async ping(timeoutMs) {
      try {
        await client.send(new HeadBucketCommand(place), { abortSignal: AbortSignal.timeout(timeoutMs) });
      } catch (error) {
        throw unavailable(`answer within ${timeoutMs} ms`, bucket, error);
      }
    },

    close() {
      client.destroy();
    },
  };
}

/** The body as far as it is wanted: its length may be missing or a lie, so the cap also counts what arrives. */
async function boundedBody({ Body, ContentLength }: GetObjectCommandOutput, maxBytes: number): Promise<Buffer> {
  // In Node the SDK gives a stream that can be destroyed and iterated.
  const stream = Body as Readable | undefined;
  if (stream === undefined) return Buffer.alloc(0);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    if ((ContentLength ?? 0) > maxBytes) throw tooLarge(`${ContentLength} bytes`, maxBytes);
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(`more than ${bytes} bytes`, maxBytes);
      chunks.push(chunk);
    }
  } finally {
    // Else the rest of a body that is not wanted would hold its connection.
    stream.destroy();
  }
  if (ContentLength !== undefined && bytes !== ContentLength) {
    throw new Error(`the body ended after ${bytes} of ${ContentLength} bytes`);
  }
  return Buffer.concat(chunks, bytes);
}

/** Throws for a key that no object can have, and for one that `put` makes. */
function checkOutside(key: string): void {
  if (key !== "" && Buffer.byteLength(key) <= MAX_KEY_BYTES && !key.startsWith("v1/")) return;
  throw new TaskiqError(
    "payload_ref_invalid",
    `expected a key of 1 to ${MAX_KEY_BYTES} bytes outside "v1/", got ${JSON.stringify(key.slice(0, 200))}. Choose another.`,
  );
}

/** The SHA-256 that a reference of ours ends with. Throws for any other, before S3 hears of it. */
function digestIn(ref: string): string {
  const digest = REF.exec(ref)?.[1];
  if (digest === undefined) throw invalidRef("v1/<yyyy-mm-dd>/<task id>/<sha256>", ref);
  return digest;
}

function sha256(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function invalidRef(expected: string, got: string): TaskiqError {
  return new TaskiqError(
    "payload_ref_invalid",
    `expected ${expected}, got ${JSON.stringify(got.slice(0, 200))}. Use what put() returned.`,
  );
}

function tooLarge(got: string, maxBytes: number): TaskiqError {
  return new TaskiqError(
    "payload_too_large",
    `expected at most ${maxBytes} bytes, got ${got}. Raise TASKIQ_MAX_PAYLOAD_BYTES, or pass a link to the data.`,
  );
}

function unavailable(what: string, bucket: string, cause: unknown): TaskiqError {
  const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  return new TaskiqError(
    "payload_unavailable",
    `expected bucket "${bucket}" to ${what}, got ${reason}. Check its name, the endpoint, the network and the permissions.`,
    { cause },
  );
}
