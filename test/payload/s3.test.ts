/** Payloads in S3 as the emulator fauxqs plays it, and answers that a proxy spoils on the way. */
import { createHash, randomUUID } from "node:crypto";
import { ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { encodeJson } from "../../runtime/payload/json.ts";
import { openPayloadStore, type S3Options, type S3PayloadStore } from "../../runtime/payload/s3.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { type AwsAnswer, type AwsProxy, startAwsProxy, type Treatment } from "../support/aws-proxy.ts";

const MAX_BYTES = 10 * 1_048_576;
const PASS: Treatment = { kind: "pass" };
const SHA256 = "0".repeat(64);

describe("a payload store in S3", () => {
  let aws: TestAws;
  let admin: S3Client;
  let proxy: AwsProxy;
  const opened: S3PayloadStore[] = [];

  beforeAll(async () => {
    aws = await startTestAws();
    admin = new S3Client({
      endpoint: aws.endpoint,
      region: aws.region,
      credentials: aws.credentials,
      forcePathStyle: true,
    });
  });

  afterAll(async () => {
    admin.destroy();
    await aws.stop();
  });

  beforeEach(async () => {
    proxy = await startAwsProxy(aws.endpoint);
  });

  afterEach(async () => {
    for (const store of opened.splice(0)) store.close();
    await proxy.close();
  });

  function open(options: Partial<S3Options> = {}): S3PayloadStore {
    const { region, bucket, credentials } = aws;
    const store = openPayloadStore({
      region,
      bucket,
      credentials,
      endpoint: proxy.endpoint,
      maxBytes: MAX_BYTES,
      ...options,
    });
    opened.push(store);
    return store;
  }

  it.each([
    ["no byte", ""],
    ["one byte", "1"],
    ["64 KiB", jsonOfSize(65_536)],
    ["10 MiB", jsonOfSize(MAX_BYTES)],
  ])("gives back %s as it was stored", async (_, text) => {
    const store = open();
    const ref = await store.put(randomUUID(), text);
    expect(await store.get(ref)).toBe(text);
  });

  it("gives back any JSON character for character", async () => {
    const store = open();
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (value) => {
        const text = encodeJson({ value, big: 1 });
        expect(await store.get(await store.put(randomUUID(), text))).toBe(text);
      }),
      { numRuns: 20 },
    );
  });

  it("names an object by day, task and digest, and sends the digest along", async () => {
    const clock: Clock = { ...systemClock, wallMs: () => Date.parse("2026-02-03T23:59:59.999Z") };
    const store = open({ clock, bucketOwner: "123456789012" });
    const taskId = randomUUID();
    const digest = createHash("sha256").update("[1]").digest();
    expect(await store.put(taskId, "[1]")).toBe(`v1/2026-02-03/${taskId}/${digest.toString("hex")}`);
    expect(await store.put(taskId, "[1]")).toBe(await store.put(taskId, "[1]"));
    expect(proxy.calls[0]?.headers).toMatchObject({
      "x-amz-checksum-sha256": digest.toString("base64"),
      "x-amz-expected-bucket-owner": "123456789012",
      "content-type": "application/json",
    });
  });

  it("says that an object is missing", async () => {
    const store = open();
    await expect(store.get(`v1/2026-02-03/${randomUUID()}/${SHA256}`)).rejects.toMatchObject({
      code: "payload_missing",
    });
  });

  it("refuses an object that is not what was stored", async () => {
    const store = open();
    const ref = await store.put(randomUUID(), '{"amount":1}');
    await admin.send(new PutObjectCommand({ Bucket: aws.bucket, Key: ref, Body: '{"amount":2}' }));
    await expect(store.get(ref)).rejects.toMatchObject({ code: "payload_corrupt" });
  });

  it("refuses to store more than the maximum, counted in UTF-8", async () => {
    const store = open({ maxBytes: 10 });
    await expect(store.put(randomUUID(), `"${"é".repeat(4)}"`)).resolves.toMatch(/^v1/);
    await expect(store.put(randomUUID(), `"${"é".repeat(4)}x"`)).rejects.toMatchObject({ code: "payload_too_large" });
    await expect(store.putAt("results/one", "12345678901")).rejects.toMatchObject({ code: "payload_too_large" });
    expect(proxy.calls).toHaveLength(1);
  });

  it("refuses to read more than the maximum, by the announced length", async () => {
    const ref = await open().put(randomUUID(), jsonOfSize(100_000));
    await expect(open({ maxBytes: 99_999 }).get(ref)).rejects.toMatchObject({
      code: "payload_too_large",
      message: expect.stringContaining("got 100000 bytes"),
    });
  });

  it("refuses to read more than the maximum where no length is announced", async () => {
    const ref = await open().put(randomUUID(), jsonOfSize(1_000_000));
    proxy.treat(() => ({ kind: "chunk" }));
    await expect(open({ maxBytes: 99_999 }).get(ref)).rejects.toMatchObject({
      code: "payload_too_large",
      message: expect.stringContaining("got more than"),
    });
    expect(await open().get(ref)).toHaveLength(1_000_000);
  });

  it.each([
    "",
    "v1",
    `v1/2026-02-03/${"0".repeat(36)}/${SHA256}`,
    `v1/2026-02-03/6f1c2a52-8a53-4f0a-9a0b-0123456789ab/${SHA256.slice(1)}`,
    `v1/2026-02-03/6f1c2a52-8a53-4f0a-9a0b-0123456789ab/${SHA256}/`,
    `/v1/2026-02-03/6f1c2a52-8a53-4f0a-9a0b-0123456789ab/${SHA256}`,
    `v1/2026-02-03/6F1C2A52-8A53-4F0A-9A0B-0123456789AB/${SHA256}`,
    `v1/2026-02-03/../6f1c2a52-8a53-4f0a-9a0b-0123456789ab/${SHA256}`,
    `v1/2026-02-03/6f1c2a52-8a53-4f0a-9a0b-0123456789ab/${SHA256}\n`,
    `s3://other-bucket/v1/2026-02-03/6f1c2a52-8a53-4f0a-9a0b-0123456789ab/${SHA256}`,
    '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"k"}]',
    "secrets/password",
  ])("does not follow the reference %j", async (ref) => {
    const store = open();
    await expect(store.get(ref)).rejects.toMatchObject({ code: "payload_ref_invalid" });
    await expect(store.remove([ref])).rejects.toMatchObject({ code: "payload_ref_invalid" });
    expect(proxy.calls).toEqual([]);
  });

  it("stores nothing for a task id that is none, or for text that UTF-8 cannot carry", async () => {
    const store = open();
    await expect(store.put("../../other", "1")).rejects.toMatchObject({ code: "payload_ref_invalid" });
    await expect(store.put(randomUUID(), '"\ud800"')).rejects.toMatchObject({ code: "not_json" });
    expect(proxy.calls).toEqual([]);
  });

  it("stores at a key of the caller's choice, but not among its own", async () => {
    const store = open();
    await store.putAt("results/é 1", '{"is_err":false}');
    await store.putAt("results/é 1", '{"is_err":true}');
    const listed = await admin.send(new ListObjectsV2Command({ Bucket: aws.bucket, Prefix: "results/" }));
    expect(listed.Contents?.map(({ Key, Size }) => [Key, Size])).toEqual([["results/é 1", 15]]);
    for (const key of ["", "v1/x", "k".repeat(1_025)]) {
      await expect(store.putAt(key, "1")).rejects.toMatchObject({ code: "payload_ref_invalid" });
    }
  });

  it("reads what somebody else named, in its own bucket and under the prefix, and asks S3 for nothing else", async () => {
    const store = open();
    const put = (Key: string, Body: string) => admin.send(new PutObjectCommand({ Bucket: aws.bucket, Key, Body }));
    await put("big/é.json", '{"ü":1}');
    await put("big/large", "x".repeat(11));
    expect(await store.getFrom({ bucket: aws.bucket, key: "big/é.json" }, "big/")).toBe('{"ü":1}');
    const from = (key: string, bucket = aws.bucket, small = store) => small.getFrom({ bucket, key }, "big/");
    await expect(from("big/gone")).rejects.toMatchObject({ code: "payload_missing" });
    await expect(from("big/large", aws.bucket, open({ maxBytes: 10 }))).rejects.toMatchObject({
      code: "payload_too_large",
    });
    const asked = proxy.calls.length;
    for (const key of ["", "other/x", `v1/2026-02-03/${randomUUID()}/${SHA256}`, `big/${"k".repeat(1_025)}`]) {
      await expect(from(key)).rejects.toMatchObject({ code: "payload_ref_invalid" });
    }
    await expect(from("big/é.json", "another-bucket")).rejects.toMatchObject({ code: "payload_ref_invalid" });
    await expect(store.getFrom({ bucket: aws.bucket, key: "v1/x" }, "")).rejects.toMatchObject({
      code: "payload_ref_invalid",
    });
    expect(proxy.calls).toHaveLength(asked);
  });

  it("deletes any number of objects, and those that are gone count as deleted", async () => {
    const store = open();
    const kept = await store.put(randomUUID(), "1");
    const refs = await Promise.all([1, 2, 3].map((value) => store.put(randomUUID(), String(value))));
    const gone = Array.from({ length: 1_500 }, () => `v1/2026-02-03/${randomUUID()}/${SHA256}`);
    await store.remove([...refs, ...gone]);
    expect(proxy.callsOf("POST")).toHaveLength(2);
    for (const ref of refs) await expect(store.get(ref)).rejects.toMatchObject({ code: "payload_missing" });
    expect(await store.get(kept)).toBe("1");
    await store.remove([]);
    expect(proxy.callsOf("POST")).toHaveLength(2);
  });

  it("says so when some objects could not be deleted", async () => {
    const store = open();
    const ref = await store.put(randomUUID(), "1");
    proxy.treat(() =>
      xml(200, `<DeleteResult><Error><Key>${ref}</Key><Code>InternalError</Code></Error></DeleteResult>`),
    );
    await expect(store.remove([ref])).rejects.toMatchObject({
      code: "payload_unavailable",
      message: expect.stringMatching(/1 not deleted.*InternalError/),
    });
  });

  it("repeats a request after a server error", async () => {
    const store = open();
    proxy.treat((_, nth) => (nth <= 2 ? xml(500, "<Error><Code>InternalError</Code></Error>") : PASS));
    const ref = await store.put(randomUUID(), "[1]");
    expect(await store.get(ref)).toBe("[1]");
    expect(proxy.calls).toHaveLength(6);
  });

  it("reads again when a body breaks off, and gives up in the end", async () => {
    const store = open();
    const ref = await store.put(randomUUID(), jsonOfSize(100_000));
    proxy.treat((_, nth) => (nth === 1 ? { kind: "break", after: 1_000 } : PASS));
    expect(await store.get(ref)).toHaveLength(100_000);
    proxy.treat(() => ({ kind: "break", after: 1_000 }));
    await expect(store.get(ref)).rejects.toMatchObject({ code: "payload_unavailable" });
  });

  it("does not wait for ever for an answer", async () => {
    const store = open({ requestTimeoutMs: 100, idleTimeoutMs: 60_000 });
    proxy.treat(() => ({ kind: "silence" }));
    await expect(store.put(randomUUID(), "1")).rejects.toMatchObject({ code: "payload_unavailable" });
    expect(proxy.calls).toHaveLength(4);
  });

  it("does not wait for ever for the rest of a body", async () => {
    const store = open({ requestTimeoutMs: 60_000, idleTimeoutMs: 100 });
    const ref = await store.put(randomUUID(), jsonOfSize(100_000));
    proxy.treat(() => ({ kind: "stall", after: 1_000 }));
    await expect(store.get(ref)).rejects.toMatchObject({ code: "payload_unavailable" });
  });

  it("names the bucket that is not there", async () => {
    const store = open({ bucket: "absent-bucket" });
    await expect(store.put(randomUUID(), "1")).rejects.toMatchObject({
      code: "payload_unavailable",
      message: expect.stringMatching(/"absent-bucket".*NoSuchBucket/),
    });
    await expect(store.ping(5_000)).rejects.toMatchObject({ code: "payload_unavailable" });
  });

  it("answers a ping, and gives up on one in time", async () => {
    const store = open();
    await store.ping(5_000);
    proxy.treat(() => ({ kind: "silence" }));
    const startedMs = systemClock.nowMs();
    await expect(store.ping(100)).rejects.toMatchObject({ code: "payload_unavailable" });
    expect(systemClock.nowMs() - startedMs).toBeLessThan(3_000);
    await proxy.close();
    await expect(store.ping(5_000)).rejects.toMatchObject({ code: "payload_unavailable" });
    proxy = await startAwsProxy(aws.endpoint);
  });
});

function jsonOfSize(bytes: number): string {
  return JSON.stringify("x".repeat(bytes - 2));
}

function xml(status: number, body: string): Treatment {
  const answer: AwsAnswer = { status, headers: { "content-type": "application/xml" }, body };
  return { kind: "answer", answer };
}
