/** SQS as the emulator fauxqs plays it, and what no emulator does of itself: entries that fail, answers that never come. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { TaskiqError } from "../../runtime/errors.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { openQueues, type SqsOptions, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { type AwsProxy, changeJson, sqsError, startAwsProxy, type Treatment } from "../support/aws-proxy.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { type Difference, queueContract } from "./contract.ts";

/** What fauxqs 2.4.1 does not do as SQS does. */
const DIFFERENCES: readonly Difference[] = [
  {
    claim: "says whose message it is on a fair queue, which is a standard one",
    because: "it knows groups on FIFO queues only",
  },
];

queueContract("fauxqs", () => startTestAws(), DIFFERENCES);

const PASS: Treatment = { kind: "pass" };
const SENT = { kind: "sent" };

describe("a queue whose service has faults", () => {
  let aws: TestAws;
  let proxy: AwsProxy;
  const opened: SqsQueues[] = [];

  beforeAll(async () => {
    aws = await startTestAws();
  });

  afterAll(async () => {
    await aws.stop();
  });

  afterEach(async () => {
    for (const queues of opened.splice(0)) queues.close();
    await proxy.close();
  });

  async function behindProxy(options: Partial<SqsOptions> = {}): Promise<{ queue: Queue; queues: SqsQueues }> {
    proxy = await startAwsProxy(aws.endpoint);
    return openAt(proxy.endpoint, options);
  }

  function openAt(endpoint: string, options: Partial<SqsOptions> = {}): { queue: Queue; queues: SqsQueues } {
    const queues = openQueues({
      region: aws.region,
      credentials: aws.credentials,
      endpoint,
      queues: [{ name: "default", url: aws.queueUrl("default"), deadLetterUrl: aws.deadLetterUrl("default") }],
      ...options,
    });
    opened.push(queues);
    const queue = queues.get("default");
    if (queue === undefined) throw new Error("the queue is not in its set");
    return { queue, queues };
  }

  it("asks for all that SQS leaves out of a delivery by default, in whole seconds", async () => {
    const { queue } = await behindProxy();
    await queue.receive({ max: 7, waitMs: 1, visibilityMs: 29_001 });
    expect(JSON.parse(proxy.calls[0]?.body ?? "")).toEqual({
      QueueUrl: aws.queueUrl("default"),
      MaxNumberOfMessages: 7,
      WaitTimeSeconds: 1,
      VisibilityTimeout: 30,
      MessageAttributeNames: ["All"],
      MessageSystemAttributeNames: ["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"],
    });
  });

  it("sends an entry again that failed on the service's side, and only that one", async () => {
    const { queue } = await behindProxy();
    proxy.treat((_, nth) => (nth === 1 ? failing(["1"], false) : PASS));
    expect(await queue.send([message(0), message(1), message(2)])).toEqual([SENT, SENT, SENT]);
    const [, again] = proxy.callsOf("SendMessageBatch");
    expect(JSON.parse(again?.body ?? "").Entries).toMatchObject([{ Id: "0", MessageBody: message(1).body }]);
  });

  it("stops sending an entry that keeps failing, with the service's reason", async () => {
    const { queue } = await behindProxy();
    proxy.treat(() => failing(["0"], false));
    expect(await queue.send([message(0)])).toEqual([
      { kind: "failed", code: "InternalError", message: "the test said so", senderFault: false },
    ]);
    expect(proxy.callsOf("SendMessageBatch")).toHaveLength(3);
  });

  it("does not send an entry again that the sender is to blame for", async () => {
    const { queue } = await behindProxy();
    proxy.treat(() => failing(["0"], true));
    expect(await queue.send([message(0), message(1)])).toMatchObject([{ kind: "failed", senderFault: true }, SENT]);
    expect(proxy.callsOf("SendMessageBatch")).toHaveLength(1);
  });

  it("takes an entry that the answer does not mention for not sent", async () => {
    const { queue } = await behindProxy();
    proxy.treat(() => changeJson((json) => ({ ...json, Successful: [], Failed: [] })));
    expect(await queue.send([message(0)])).toMatchObject([{ kind: "failed", code: "unanswered" }]);
  });

  it("deletes again what failed on the service's side, and counts what it cannot delete", async () => {
    const { queue } = await behindProxy();
    await queue.send([message(0), message(1)]);
    const deliveries = await queue.receive({ max: 10, waitMs: 1_000 });
    const handles = deliveries.map(({ receiptHandle }) => receiptHandle);
    proxy.treat((_, nth) => (nth === 1 ? failing(["0", "1"], false) : PASS));
    expect(await queue.remove(handles)).toBe(0);
    proxy.treat(() => failing(["0"], false));
    expect(await queue.remove(handles)).toBe(1);
    expect(proxy.callsOf("DeleteMessageBatch")).toHaveLength(2 + 3);
  });

  it("takes an invalid receipt handle for deleted", async () => {
    const { queue } = await behindProxy();
    proxy.treat(() => failing(["0"], true, "ReceiptHandleIsInvalid"));
    expect(await queue.remove(["gone", "here"])).toBe(0);
    expect(proxy.callsOf("DeleteMessageBatch")).toHaveLength(1);
  });

  it("repeats a command after a server error, and counts every request", async () => {
    const { queue, queues } = await behindProxy();
    proxy.treat((_, nth) => (nth <= 2 ? sqsError(500, "InternalFailure") : PASS));
    expect(await queue.send([message(0)])).toEqual([SENT]);
    expect(queues.requests).toBe(3);
  });

  it("gives up a command after four attempts, failing every entry of its batch but of no other", async () => {
    const { queue } = await behindProxy();
    proxy.treat(({ body }) => (body.includes('"index\\":0}') ? sqsError(500, "InternalFailure") : PASS));
    const outcomes = await queue.send(Array.from({ length: 12 }, (_, index) => message(index)));
    expect(outcomes.slice(0, 10).map(({ kind }) => kind)).toEqual(Array.from({ length: 10 }, () => "failed"));
    expect(outcomes.slice(10)).toEqual([SENT, SENT]);
    expect(outcomes[0]).toMatchObject({ code: "InternalFailure", senderFault: false });
    expect(proxy.callsOf("SendMessageBatch")).toHaveLength(5);
  });

  it("does not repeat a poll that got no answer", async () => {
    const { queue } = await behindProxy({ pollGraceMs: 200 });
    proxy.treat(() => ({ kind: "silence" }));
    await expectUnavailable(queue.receive({ max: 1, waitMs: 0 }), /TIMEDOUT|no complete answer/);
    expect(proxy.callsOf("ReceiveMessage")).toHaveLength(1);
  });

  it("rejects a poll whose answer stops in the middle", async () => {
    const { queue } = await behindProxy({ pollGraceMs: 200 });
    await queue.send([message(0)]);
    proxy.treat(() => ({ kind: "stall", after: 20 }));
    await expectUnavailable(queue.receive({ max: 1, waitMs: 0 }), /no complete answer/);
  });

  it("rejects a poll whose answer breaks off", async () => {
    const { queue } = await behindProxy();
    proxy.treat(() => ({ kind: "break", after: 1 }));
    await expectUnavailable(queue.receive({ max: 1, waitMs: 0 }), /ECONNRESET|aborted/);
  });

  it("rejects a poll whose answer is not JSON", async () => {
    const { queue } = await behindProxy();
    proxy.treat(() => ({ kind: "answer", answer: { status: 200, headers: {}, body: "<html>" } }));
    await expectUnavailable(queue.receive({ max: 1, waitMs: 0 }), /JSON|Unexpected/);
  });

  it("gives a poll its waiting time and then the grace, on a connection that went silent", async () => {
    proxy = await startAwsProxy(aws.endpoint);
    const { hostname, port } = new URL(aws.endpoint);
    const network = await startTcpProxy({ host: hostname, port: Number(port) });
    const { queue } = openAt(`http://${network.host}:${network.port}`, { pollGraceMs: 500, commandTimeoutMs: 500 });
    await queue.receive({ max: 1, waitMs: 0 });
    network.silence();
    const startedMs = systemClock.nowMs();
    await expectUnavailable(queue.receive({ max: 1, waitMs: 1_000 }), /no complete answer/);
    const tookMs = systemClock.nowMs() - startedMs;
    expect(tookMs).toBeGreaterThan(1_450);
    expect(tookMs).toBeLessThan(5_000);
    expect(await queue.remove(["handle"])).toBe(1);
    network.restore();
    await expect(queue.receive({ max: 1, waitMs: 0 })).resolves.toBeInstanceOf(Array);
    await network.close();
  });

  it("fails without throwing while nothing listens, and throws where an answer is needed", async () => {
    const { queue } = await behindProxy();
    await proxy.close();
    expect(await queue.send([message(0), message(1)])).toMatchObject([
      { kind: "failed", code: "ECONNREFUSED", senderFault: false },
      { kind: "failed", code: "ECONNREFUSED", senderFault: false },
    ]);
    expect(await queue.remove(["one", "two", "three"])).toBe(3);
    expect(await queue.changeVisibility([{ receiptHandle: "one", visibilityMs: 0 }])).toBe(1);
    await expectUnavailable(queue.receive({ max: 1, waitMs: 0 }), /ECONNREFUSED/);
    await expectUnavailable(queue.depth(), /ECONNREFUSED/);
    proxy = await startAwsProxy(aws.endpoint);
  });

  it("names the queue that does not exist", async () => {
    const { queue } = await behindProxy({
      queues: [{ name: "default", url: `${aws.queueUrl("default")}-absent`, deadLetterUrl: null }],
    });
    await expectUnavailable(queue.receive({ max: 1, waitMs: 0 }), /"default".*(QueueDoesNotExist|NonExistentQueue)/);
    expect(await queue.send([message(0)])).toMatchObject([{ kind: "failed", senderFault: false }]);
  });

  it("lets commands through while polls are open", async () => {
    const { queue } = await behindProxy();
    proxy.treat(({ operation }) => (operation === "ReceiveMessage" ? { kind: "silence" } : PASS));
    const polls = [1, 2, 3].map(() => queue.receive({ max: 1, waitMs: 20_000 }).catch(() => []));
    await proxy.arrived("ReceiveMessage", 3);
    expect(await queue.send([message(0)])).toEqual([SENT]);
    for (const queues of opened.splice(0)) queues.close();
    await Promise.all(polls);
  });

  it("tells what was given up, by operation and code, and which polls brought nothing", async () => {
    const told: unknown[] = [];
    const observer = {
      entryFailed: (...failure: unknown[]) => void told.push(failure),
      receivedNothing: () => void told.push("nothing"),
    };
    const { queue } = await behindProxy({ observer });
    proxy.treat(() => failing(["0"], true));
    await queue.send([message(0), message(1)]);
    await queue.remove(["a handle", "another"]);
    proxy.treat(() => failing(["0"], false, "Busy"));
    await queue.changeVisibility([{ receiptHandle: "a", visibilityMs: 0 }]);
    proxy.treat(() => failing(["0"], true, "ReceiptHandleIsInvalid"));
    await queue.remove(["gone"]);
    proxy.treat(() => PASS);
    await queue.send([message(0)]);
    while ((await queue.receive({ max: 10, waitMs: 0 })).length > 0);
    expect(told).toEqual([
      ["send", "InternalError", true],
      ["delete", "InternalError", true],
      ["change_visibility", "Busy", false],
      "nothing",
    ]);
  });

  it("shares one dead-letter queue between the queues that name it", () => {
    const queues = openQueues({
      region: aws.region,
      credentials: aws.credentials,
      queues: [
        { name: "one", url: aws.queueUrl("one"), deadLetterUrl: aws.deadLetterUrl("default") },
        { name: "two", url: aws.queueUrl("two"), deadLetterUrl: aws.deadLetterUrl("default") },
        { name: "three", url: aws.queueUrl("three"), deadLetterUrl: null },
      ],
    });
    opened.push(queues);
    expect(queues.deadLetter("one")).toBe(queues.deadLetter("two"));
    expect(queues.deadLetter("one").name).toBe("taskiq-default-dlq");
    expect(() => queues.deadLetter("three")).toThrow(/one, two/);
  });
});

function message(index: number): { body: string } {
  return { body: JSON.stringify({ index }) };
}

/** The emulator carries the batch out; the answer says that these entries failed. */
function failing(ids: readonly string[], senderFault: boolean, code = "InternalError"): Treatment {
  return changeJson((json) => {
    // Both lists are arrays of entries with an Id.
    const successful = (json.Successful ?? []) as { Id: string }[];
    return {
      Successful: successful.filter(({ Id }) => !ids.includes(Id)),
      Failed: ids.map((Id) => ({ Id, SenderFault: senderFault, Code: code, Message: "the test said so" })),
    };
  });
}

async function expectUnavailable(promise: Promise<unknown>, reason: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TaskiqError);
  expect(error).toMatchObject({ code: "queue_unavailable", message: expect.stringMatching(reason) });
}
