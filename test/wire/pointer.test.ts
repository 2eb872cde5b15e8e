import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeMessage } from "../../runtime/wire/message.ts";
import { readPointer } from "../../runtime/wire/pointer.ts";
import { sentMessages } from "./golden.ts";

const MODERN = "software.amazon.payloadoffloading.PayloadS3Pointer";
const LEGACY = "com.amazon.sqs.javamessaging.MessageS3Pointer";
const target = { s3BucketName: "payloads", s3Key: "a/b.json" };

describe("messages recorded from taskiq-aio-sqs", () => {
  const recorded = sentMessages();
  const extended = recorded.filter(({ attributes }) => "s3_extended_message" in attributes);

  it("have extended ones among them", () => {
    expect(extended.length).toBeGreaterThan(4);
    expect(recorded.length).toBeGreaterThan(extended.length);
  });

  it.each(extended)("$name: $body is a pointer", ({ body, attributes }) => {
    const { s3_bucket: bucket, s3_key: key } = JSON.parse(body) as Record<string, string>;
    expect(readPointer(body, attributes)).toEqual({ kind: "pointer", form: "taskiq", bucket, key });
    expect(bucket).toBe("golden-payloads");
    expect(key).toMatch(/^[0-9]{32}\.json$/);
  });

  it.each(recorded.filter((message) => !extended.includes(message)))("$name: $body is none", ({ body, attributes }) => {
    expect(readPointer(body, attributes)).toEqual({ kind: "none" });
  });
});

describe("messages of the AWS extended clients", () => {
  it.each([
    [MODERN, "ExtendedPayloadSize"],
    [LEGACY, "SQSLargePayloadSize"],
    [LEGACY, "ExtendedPayloadSize"],
    [MODERN, "SQSLargePayloadSize"],
  ])("with class %s and attribute %s are pointers", (pointerClass, attribute) => {
    expect(readPointer(JSON.stringify([pointerClass, target]), { [attribute]: "300000" })).toEqual({
      kind: "pointer",
      form: "aws",
      bucket: "payloads",
      key: "a/b.json",
    });
  });
});

describe("what is no pointer", () => {
  it("is a body that only looks like one", () => {
    expect(readPointer(JSON.stringify([MODERN, target]), {})).toEqual({ kind: "none" });
    expect(readPointer('{"s3_bucket":"b","s3_key":"k"}', { traceparent: "00-1-2-01" })).toEqual({ kind: "none" });
  });

  it("reads the attribute's presence, not its value", () => {
    expect(readPointer('{"s3_bucket":"b","s3_key":"k"}', { s3_extended_message: "False" }).kind).toBe("pointer");
  });

  it("finds no attribute in a prototype", () => {
    const attributes: Record<string, string> = Object.create({ s3_extended_message: "True" });
    expect(readPointer("{}", attributes)).toEqual({ kind: "none" });
  });

  it.each([
    ["hello", "s3_extended_message", 'body: expected an S3 pointer as JSON, got "hello"'],
    ["[]", "s3_extended_message", "got an array"],
    ["{}", "s3_extended_message", "s3_bucket: expected the name of a bucket, got nothing"],
    ['{"s3_bucket":"b","s3_key":""}', "s3_extended_message", 's3_key: expected the key of an object, got ""'],
    [
      '{"s3_bucket":["b"],"s3_key":"k"}',
      "s3_extended_message",
      "s3_bucket: expected the name of a bucket, got an array",
    ],
    ['{"__proto__":{"s3_bucket":"b","s3_key":"k"}}', "s3_extended_message", "s3_bucket"],
    ["", "ExtendedPayloadSize", "body: expected an S3 pointer as JSON"],
    ['{"s3BucketName":"b","s3Key":"k"}', "ExtendedPayloadSize", "got an object"],
    [`["${MODERN}"]`, "ExtendedPayloadSize", "got an array"],
    [JSON.stringify(["java.lang.Runtime", target]), "ExtendedPayloadSize", 'got "java.lang.Runtime"'],
    [`["${MODERN}",null]`, "ExtendedPayloadSize", "pointer: expected an object {s3BucketName, s3Key}, got null"],
    [`["${MODERN}",{"s3BucketName":"b"}]`, "SQSLargePayloadSize", "s3Key: expected the key of an object, got nothing"],
  ])("%s with attribute %s is unreadable", (body, attribute, sentence) => {
    expect(readPointer(body, { [attribute]: "1" })).toEqual({
      kind: "unreadable",
      detail: expect.stringContaining(sentence),
    });
  });

  it("never throws and keeps its sentences short, whatever the body is", () => {
    const attributes = fc.constantFrom("s3_extended_message", "ExtendedPayloadSize", "SQSLargePayloadSize");
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json()), attributes, (body, attribute) => {
        const pointer = readPointer(body, { [attribute]: "1" });
        if (pointer.kind === "unreadable") expect(pointer.detail).toMatch(/^[\x20-\x7e]{1,200}$/);
      }),
    );
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    expect(readPointer(deep, { ExtendedPayloadSize: "200000" }).kind).toBe("unreadable");
  });

  it("is never taken for a task", () => {
    expect(decodeMessage(JSON.stringify([MODERN, target])).kind).toBe("unreadable");
    expect(decodeMessage('{"s3_bucket":"b","s3_key":"k"}').kind).toBe("unreadable");
  });
});
