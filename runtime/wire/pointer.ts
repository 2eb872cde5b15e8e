/**
 * Messages whose body only says where in S3 the real body is: TaskIQ's form and that of the AWS extended clients.
 * Which one it is, the message *attribute* says, not the look of the body: a body that looks like a pointer may be
 * somebody's data. What a pointer names is the sender's choice, so this only reads it; following is for code that pins
 * the bucket, the prefix and the size.
 */
import { isJsonObject, type JsonObject } from "./json-text.ts";
import { mismatch } from "./mismatch.ts";

export type Pointer =
  | { readonly kind: "none" }
  | { readonly kind: "pointer"; readonly form: "taskiq" | "aws"; readonly bucket: string; readonly key: string }
  /** An attribute promises a pointer, the body holds none. `detail` is printable ASCII, at most 200 characters. */
  | { readonly kind: "unreadable"; readonly detail: string };

/** taskiq-aio-sqs sets it to "True"; its reader looks only whether it is there. */
const TASKIQ_ATTRIBUTE = "s3_extended_message";
/** amazon-sqs-java-extended-client-lib: the current name and the one before 1.1. Both hold the original size in bytes. */
const AWS_ATTRIBUTES = ["ExtendedPayloadSize", "SQSLargePayloadSize"];
const AWS_CLASSES: readonly unknown[] = [
  "software.amazon.payloadoffloading.PayloadS3Pointer",
  "com.amazon.sqs.javamessaging.MessageS3Pointer",
];

/** `attributes` are the message attributes by name (their values are not looked at). Never throws. */
export function readPointer(body: string, attributes: Readonly<Record<string, string>>): Pointer {
  const fromBody = readerFor(attributes);
  if (fromBody === null) return { kind: "none" };
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return wrong("body", "an S3 pointer as JSON", body);
  }
  return fromBody(parsed);
}

/** Whether an attribute of this name makes a body a pointer. */
export function isPointerAttribute(name: string): boolean {
  return name === TASKIQ_ATTRIBUTE || AWS_ATTRIBUTES.includes(name);
}

function readerFor(attributes: Readonly<Record<string, string>>): ((body: unknown) => Pointer) | null {
  if (Object.hasOwn(attributes, TASKIQ_ATTRIBUTE)) return taskiqPointer;
  return AWS_ATTRIBUTES.some((name) => Object.hasOwn(attributes, name)) ? awsPointer : null;
}

/** `{"s3_bucket": "b", "s3_key": "k"}` */
function taskiqPointer(body: unknown): Pointer {
  if (!isJsonObject(body)) return wrong("body", 'an S3 pointer {"s3_bucket", "s3_key"}', body);
  return pointer("taskiq", body, "s3_bucket", "s3_key");
}

/** `["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "b", "s3Key": "k"}]` */
function awsPointer(body: unknown): Pointer {
  if (!Array.isArray(body) || body.length !== 2)
    return wrong("body", "an S3 pointer [class, {s3BucketName, s3Key}]", body);
  const [pointerClass, target]: unknown[] = body;
  if (!AWS_CLASSES.includes(pointerClass)) return wrong("pointer class", "PayloadS3Pointer", pointerClass);
  if (!isJsonObject(target)) return wrong("pointer", "an object {s3BucketName, s3Key}", target);
  return pointer("aws", target, "s3BucketName", "s3Key");
}

function pointer(form: "taskiq" | "aws", target: JsonObject, bucketName: string, keyName: string): Pointer {
  const bucket = target[bucketName];
  const key = target[keyName];
  if (typeof bucket !== "string" || bucket === "") return wrong(bucketName, "the name of a bucket", bucket);
  if (typeof key !== "string" || key === "") return wrong(keyName, "the key of an object", key);
  return { kind: "pointer", form, bucket, key };
}

function wrong(where: string, expected: string, got: unknown): Pointer {
  return { kind: "unreadable", detail: mismatch(where, expected, got) };
}
