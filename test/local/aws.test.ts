import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import {
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startAws } from "../../runtime/local/aws.ts";
import { freePort } from "../../runtime/local/ports.ts";
import { LOCAL_BUCKET, LOCAL_QUEUES } from "../../runtime/local/queues.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { until } from "../support/until.ts";

const region = "us-east-1";
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const stops: (() => unknown)[] = [];
let aws: TestAws;
let sqs: SQSClient;

beforeAll(async () => {
  aws = await startTestAws();
  sqs = new SQSClient(aws);
  stops.push(
    () => sqs.destroy(),
    () => aws.stop(),
  );
});

afterAll(async () => {
  for (const stop of stops) await stop();
});

test("a queue is reached at an address that needs no resolver", async () => {
  const url = aws.queueUrl("default");
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/000000000000\/taskiq-default$/);
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "hello" }));
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: url, WaitTimeSeconds: 1 }));
  expect(Messages?.map((message) => message.Body)).toEqual(["hello"]);
});

test("queues have a deployment's visibility, wait, retention and dead-letter queue", async () => {
  const attributesOf = async (QueueUrl: string) =>
    (await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }))).Attributes ?? {};
  const queue = await attributesOf(aws.queueUrl("default"));
  const deadLetter = await attributesOf(aws.deadLetterUrl("default"));
  expect(queue).toMatchObject({
    VisibilityTimeout: "300",
    ReceiveMessageWaitTimeSeconds: "20",
    MessageRetentionPeriod: "1209600",
  });
  expect(deadLetter).toMatchObject({ MessageRetentionPeriod: "1209600" });
  expect(JSON.parse(queue.RedrivePolicy ?? "null")).toEqual({
    deadLetterTargetArn: deadLetter.QueueArn,
    maxReceiveCount: 5,
  });
});

test("the contents of a queue are those of now, without anybody receiving", async () => {
  const own = await startTestAws({ settings: { visibilityMs: 1_000 } });
  stops.push(() => own.stop());
  const client = new SQSClient(own);
  stops.push(() => client.destroy());
  const QueueUrl = own.queueUrl("default");
  const bodies = () => {
    const { ready, delayed, inflight } = own.inspectQueue("taskiq-default");
    return { ready: ready.map(body).sort(), delayed: delayed.map(body), inflight: inflight.map(body) };
  };
  await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "taken" }));
  await client.send(new ReceiveMessageCommand({ QueueUrl }));
  const Entries = [
    { Id: "now", MessageBody: "now" },
    { Id: "later", MessageBody: "later", DelaySeconds: 1 },
  ];
  await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  expect(bodies()).toEqual({ ready: ["now"], delayed: ["later"], inflight: ["taken"] });
  await until(() => bodies().ready.length === 3, { what: "visibility timeout and delay to pass" });
  expect(bodies()).toEqual({ ready: ["later", "now", "taken"], delayed: [], inflight: [] });
});

test("asking for a queue that does not exist is an error", () => {
  expect(() => aws.inspectQueue("default")).toThrow('got "default"');
});

test("queues, messages and objects are there again after a restart on kept state", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "taskiq-aws-test-"));
  stops.push(() => rmSync(dataDir, { recursive: true }));
  const options = { port: await freePort(), dataDir, region, queues: LOCAL_QUEUES, buckets: [LOCAL_BUCKET] };
  const object = { Bucket: LOCAL_BUCKET, Key: "v1/object" };

  const first = await startAws(options);
  const before = clients(first.endpoint);
  await before.sqs.send(new SendMessageCommand({ QueueUrl: first.queueUrl("default"), MessageBody: "kept" }));
  await before.s3.send(new PutObjectCommand({ ...object, Body: "kept too" }));
  await first.stop();

  const second = await startAws(options);
  stops.push(() => second.stop());
  const after = clients(second.endpoint);
  const QueueUrl = second.queueUrl("default");
  const { Messages } = await after.sqs.send(new ReceiveMessageCommand({ QueueUrl }));
  expect(Messages?.[0]?.Body).toBe("kept");
  const { Body } = await after.s3.send(new GetObjectCommand(object));
  expect(await Body?.transformToString()).toBe("kept too");
});

const elsewhere = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

test.skipIf(elsewhere === undefined)("connections that come over a network are closed (needs a network)", async () => {
  const socket = connect({ host: elsewhere ?? "", port: Number(new URL(aws.endpoint).port) });
  socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
  let answer = "";
  socket.on("data", (bytes) => {
    answer += String(bytes);
  });
  await new Promise((resolve) => socket.on("error", () => {}).once("close", resolve));
  expect(answer).toBe("");
});

test("a port in use is an error that says so", async () => {
  const port = Number(new URL(aws.endpoint).port);
  await expect(startAws({ port, region, queues: [], buckets: [] })).rejects.toMatchObject({
    code: "queue_unavailable",
    message: expect.stringContaining("EADDRINUSE"),
  });
});

const body = (message: { body: string }): string => message.body;

function clients(endpoint: string): { sqs: SQSClient; s3: S3Client } {
  const own = {
    sqs: new SQSClient({ endpoint, region, credentials }),
    s3: new S3Client({ endpoint, region, credentials, forcePathStyle: true }),
  };
  stops.push(
    () => own.sqs.destroy(),
    () => own.s3.destroy(),
  );
  return own;
}
