/** The short way through the SDK client, and when a request takes the SDK's own. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { ReceiveMessageCommand, SendMessageBatchCommand } from "@aws-sdk/client-sqs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { openSqsClient, type SqsClient, type SqsClientOptions } from "../../runtime/queue/sqs-client.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { type AwsCall, type AwsProxy, sqsError, startAwsProxy, type Treatment } from "../support/aws-proxy.ts";

const HOUR_MS = 3_600_000;
const PASS: Treatment = { kind: "pass" };

describe("an SQS client", () => {
  let aws: TestAws;
  let proxy: AwsProxy;
  const clients: SqsClient[] = [];

  beforeAll(async () => {
    aws = await startTestAws();
  });

  afterAll(async () => {
    await aws.stop();
  });

  beforeEach(async () => {
    proxy = await startAwsProxy(aws.endpoint);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await proxy.close();
  });

  function options(): SqsClientOptions {
    return {
      region: aws.region,
      credentials: aws.credentials,
      maxAttempts: 4,
      timeoutMs: 5_000,
      connectTimeoutMs: 1_000,
      maxSockets: 10,
      clock: systemClock,
    };
  }

  function client(changes: Partial<SqsClientOptions> = { endpoint: proxy.endpoint }): SqsClient {
    const opened = openSqsClient({ ...options(), ...changes });
    clients.push(opened);
    return opened;
  }

  const poll = (): ReceiveMessageCommand =>
    new ReceiveMessageCommand({ QueueUrl: aws.queueUrl("default"), WaitTimeSeconds: 0 });
  const send = (): SendMessageBatchCommand =>
    new SendMessageBatchCommand({ QueueUrl: aws.queueUrl("default"), Entries: [{ Id: "0", MessageBody: "{}" }] });

  it("sends what the SDK itself would send", async () => {
    proxy.treat((_, nth) => (nth === 1 ? sqsError(500, "InternalFailure") : PASS));
    await client({ endpoint: proxy.endpoint, credentials: { ...aws.credentials, sessionToken: "token" } }).call(send());
    const [ours, sdks] = proxy.calls;
    expect(ours?.body).toBe(sdks?.body);
    expect(ours?.path).toBe(sdks?.path);
    const relevant = [
      "host",
      "content-type",
      "content-length",
      "x-amz-target",
      "x-amzn-query-mode",
      "x-amz-security-token",
    ];
    for (const name of relevant) {
      expect(ours?.headers[name], name).toBe(sdks?.headers[name]);
      expect(ours?.headers[name], name).toBeDefined();
    }
    expect(signedHeaders(ours)).toEqual(
      expect.arrayContaining(["host", "x-amz-date", "x-amz-target", "x-amz-security-token"]),
    );
  });

  it("takes the endpoint over the host in the queue's URL", async () => {
    const QueueUrl = "http://sqs.us-east-1.does-not-resolve.invalid/000000000000/taskiq-default";
    proxy.treat((_, nth) => (nth === 1 ? sqsError(500, "InternalFailure") : PASS));
    await client().call(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 0 }));
    expect(proxy.calls).toHaveLength(2);
  });

  it("goes to the host of the queue's URL where no endpoint is set", async () => {
    await client({}).call(
      new ReceiveMessageCommand({ QueueUrl: `${proxy.endpoint}/000000000000/taskiq-default`, WaitTimeSeconds: 0 }),
    );
    expect(proxy.calls).toHaveLength(1);
  });

  it("signs with the service's time after an answer that the request expired", async () => {
    const ahead = new Date(systemClock.wallMs() + HOUR_MS);
    proxy.treat((_, nth) => {
      const { answer } = sqsError(403, "RequestExpired") as Extract<Treatment, { kind: "answer" }>;
      const headers = { ...answer.headers, date: ahead.toUTCString() };
      if (nth === 1) return { kind: "answer", answer: { ...answer, headers } };
      return {
        kind: "change",
        change: (passed) => ({ ...passed, headers: { ...passed.headers, date: ahead.toUTCString() } }),
      };
    });
    const opened = client();
    await opened.call(send());
    await opened.call(send());
    const signedAt = proxy.calls.map(({ headers }) => dateOf(headers["x-amz-date"]));
    expect(Math.abs(signedAt[0]! - systemClock.wallMs())).toBeLessThan(60_000);
    expect(Math.abs(signedAt.at(-1)! - ahead.getTime())).toBeLessThan(60_000);
  });

  it("repeats a command in the end as often as allowed, and a poll only when it was answered", async () => {
    proxy.treat(() => sqsError(500, "InternalFailure"));
    await expect(client().call(send())).rejects.toMatchObject({ name: "InternalFailure" });
    expect(proxy.callsOf("SendMessageBatch")).toHaveLength(4);
    const polls = client({ endpoint: proxy.endpoint, maxAttempts: 1 });
    await expect(polls.call(poll())).rejects.toMatchObject({ name: "InternalFailure" });
    expect(proxy.callsOf("ReceiveMessage")).toHaveLength(2);
    proxy.treat(() => ({ kind: "silence" }));
    await expect(polls.call(poll(), 100)).rejects.toMatchObject({ name: "TimeoutError" });
    expect(proxy.callsOf("ReceiveMessage")).toHaveLength(3);
    expect(polls.requests).toBe(3);
  });

  it("keeps one connection for one request after another", async () => {
    const opened = client();
    for (let nth = 0; nth < 5; nth++) await opened.call(send());
    expect(new Set(proxy.calls.map(({ connection }) => connection)).size).toBe(1);
  });

  it("speaks TLS, with certificates it can verify only", async () => {
    const certificates = new URL("../support/tls/", import.meta.url);
    const read = (file: string): string => readFileSync(new URL(file, certificates), "utf8");
    const server = https.createServer(
      { cert: read("server.pem"), key: read("server-key.pem") },
      (request, response) => {
        request.resume().on("end", () => response.end("{}"));
      },
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    // A TCP listener's address is an object; it is a string only for pipes.
    const { port } = server.address() as AddressInfo;
    const secure = { endpoint: `https://localhost:${port}`, maxAttempts: 1 };
    await expect(client(secure).call(poll())).rejects.toThrow(/certificate/);
    const trusted = getCACertificates("default");
    setDefaultCACertificates([...trusted, read("ca.pem")]);
    try {
      await expect(client(secure).call(poll())).resolves.toMatchObject({ $metadata: { httpStatusCode: 200 } });
    } finally {
      setDefaultCACertificates(trusted);
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    }
  });
});

function signedHeaders(call: AwsCall | undefined): string[] {
  return /SignedHeaders=([^,]+)/.exec(call?.headers.authorization ?? "")?.[1]?.split(";") ?? [];
}

/** `20260203T040506Z` in ms since 1970. */
function dateOf(header: string | string[] | undefined): number {
  return Date.parse(String(header).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
}
