/**
 * What every queue must do, whatever it is made of: the suite is handed a service that speaks the SQS protocol and makes
 * its queues there itself, so another emulator, or AWS, can be put to the same test. What a service is known not to do is said with its
 * reason beside it, and checked as well: a claim that holds after all fails there.
 */
import { randomUUID } from "node:crypto";
import { CreateQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import type { Delivery, Outgoing, Queue } from "../../runtime/queue/queue.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { asciiJson } from "../../runtime/wire/json-text.ts";
import { until } from "../support/until.ts";

export type QueueService = {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  stop(): Promise<void>;
};

/** A claim of the suite that a service does not keep, and why. */
export type Difference = { readonly claim: string; readonly because: string };

const MEBIBYTE = 1_048_576;

export function queueContract(
  serviceName: string,
  start: () => Promise<QueueService>,
  differences: readonly Difference[] = [],
): void {
  describe(`a queue on ${serviceName}`, () => {
    let service: QueueService;
    let admin: SQSClient;
    const opened: SqsQueues[] = [];
    const claims: string[] = [];

    function claim(name: string, check: () => Promise<void>): void {
      claims.push(name);
      const difference = differences.find((one) => one.claim === name);
      if (difference === undefined) it(name, check);
      else it.fails(`not: ${name}, because ${difference.because}`, check);
    }

    beforeAll(async () => {
      service = await start();
      admin = new SQSClient(service);
    });

    afterAll(async () => {
      for (const queues of opened) queues.close();
      admin.destroy();
      await service.stop();
    });

    async function newQueue(attributes: Record<string, string> = {}): Promise<Queue> {
      const suffix = attributes.FifoQueue === "true" ? ".fifo" : "";
      const QueueName = `contract-${randomUUID()}${suffix}`;
      const { QueueUrl } = await admin.send(new CreateQueueCommand({ QueueName, Attributes: attributes }));
      const queues = openQueues({
        ...service,
        queues: [{ name: "under-test", url: QueueUrl ?? "", deadLetterUrl: null }],
      });
      opened.push(queues);
      const queue = queues.get("under-test");
      if (queue === undefined) throw new Error("the queue is not in its set");
      return queue;
    }

    claim("delivers body, attributes and times as they were sent", async () => {
      const queue = await newQueue();
      const before = systemClock.wallMs();
      expect(await queue.send([{ body: '{"a":1}', attributes: { reason: "test", size: "12" } }])).toEqual([SENT]);
      const [delivery] = await queue.receive({ max: 10, waitMs: 5_000 });
      expect(delivery).toMatchObject({
        body: '{"a":1}',
        receiveCount: 1,
        groupId: null,
        attributes: { reason: "test", size: "12" },
      });
      expect(delivery?.messageId).not.toBe("");
      // Services stamp whole milliseconds or seconds.
      expect(delivery?.sentAtMs).toBeGreaterThan(before - 1_000);
      expect(delivery?.sentAtMs).toBeLessThan(systemClock.wallMs() + 1_000);
    });

    claim("returns nothing from an empty queue after a short wait", async () => {
      const queue = await newQueue();
      expect(await queue.receive({ max: 10, waitMs: 0 })).toEqual([]);
      expect(await queue.receive({ max: 10, waitMs: 1 })).toEqual([]);
    });

    claim("ends a long poll when a message arrives", async () => {
      const queue = await newQueue();
      const startedMs = systemClock.nowMs();
      const poll = queue.receive({ max: 10, waitMs: 6_000 });
      await queue.send([message(1)]);
      expect(bodies(await poll)).toEqual([message(1).body]);
      expect(systemClock.nowMs() - startedMs).toBeLessThan(4_000);
    });

    claim("hands out at most the wanted number of messages", async () => {
      const queue = await newQueue();
      await queue.send([message(1), message(2), message(3)]);
      expect(await queue.receive({ max: 1, waitMs: 1_000 })).toHaveLength(1);
      expect((await queue.receive({ max: 2, waitMs: 1_000 })).length).toBeLessThanOrEqual(2);
    });

    claim("hides a delivery for its visibility time and then delivers it again, counted", async () => {
      const queue = await newQueue();
      await queue.send([message(1)]);
      const [first] = await queue.receive({ max: 10, waitMs: 1_000, visibilityMs: 1_500 });
      const receivedMs = systemClock.nowMs();
      expect(await queue.receive({ max: 10, waitMs: 0 })).toEqual([]);
      const second = await receiveOne(queue);
      expect(second.messageId).toBe(first?.messageId);
      expect(second.receiveCount).toBe(2);
      // 1.5 s are rounded up to 2 s; the clocks of the two sides may differ by some milliseconds.
      expect(systemClock.nowMs() - receivedMs).toBeGreaterThan(1_900);
    });

    claim("delivers a message again at once when its visibility is set to zero", async () => {
      const queue = await newQueue();
      await queue.send([message(1)]);
      const first = await receiveOne(queue);
      expect(await queue.changeVisibility([{ receiptHandle: first.receiptHandle, visibilityMs: 0 }])).toBe(0);
      expect((await receiveOne(queue)).messageId).toBe(first.messageId);
    });

    claim("keeps a message hidden that is hidden for longer", async () => {
      const queue = await newQueue();
      await queue.send([message(1)]);
      const [first] = await queue.receive({ max: 1, waitMs: 1_000, visibilityMs: 1_000 });
      const entry = { receiptHandle: first?.receiptHandle ?? "", visibilityMs: 60_000 };
      expect(await queue.changeVisibility([entry])).toBe(0);
      expect(await queue.receive({ max: 1, waitMs: 2_000 })).toEqual([]);
    });

    claim("counts deliveries whose visibility could not be changed", async () => {
      const queue = await newQueue();
      await queue.send([message(1)]);
      const { receiptHandle } = await receiveOne(queue);
      const entries = [
        { receiptHandle, visibilityMs: 0 },
        { receiptHandle: randomUUID(), visibilityMs: 0 },
      ];
      expect(await queue.changeVisibility(entries)).toBe(1);
    });

    claim("delivers a delayed message after its delay", async () => {
      const queue = await newQueue();
      const sentMs = systemClock.nowMs();
      await queue.send([{ ...message(1), delayMs: 1_500 }]);
      expect(await queue.receive({ max: 1, waitMs: 0 })).toEqual([]);
      await receiveOne(queue);
      expect(systemClock.nowMs() - sentMs).toBeGreaterThan(1_900);
    });

    claim("refuses a delay that SQS cannot keep and sends the rest", async () => {
      const queue = await newQueue();
      const outcomes = await queue.send([{ ...message(1), delayMs: 900_001 }, message(2)]);
      expect(outcomes).toMatchObject([{ kind: "failed", code: "delay_too_long", senderFault: true }, SENT]);
      expect(bodies(await receiveAll(queue, 1))).toEqual([message(2).body]);
    });

    claim("sends more messages than fit in a batch, and deletes them all", async () => {
      const queue = await newQueue();
      const messages = Array.from({ length: 23 }, (_, index) => message(index));
      expect(await queue.send(messages)).toEqual(messages.map(() => SENT));
      const deliveries = await receiveAll(queue, 23);
      expect(new Set(bodies(deliveries))).toEqual(new Set(messages.map(({ body }) => body)));
      expect(await queue.remove(deliveries.map(({ receiptHandle }) => receiptHandle))).toBe(0);
      expect(await queue.depth()).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    });

    claim("does not deliver a deleted message again", async () => {
      const queue = await newQueue();
      await queue.send([message(1)]);
      const [delivery] = await queue.receive({ max: 1, waitMs: 1_000, visibilityMs: 1_000 });
      expect(await queue.remove([delivery?.receiptHandle ?? ""])).toBe(0);
      expect(await queue.receive({ max: 1, waitMs: 2_000 })).toEqual([]);
    });

    claim("takes an expired receipt handle for deleted", async () => {
      const queue = await newQueue();
      await queue.send([message(1)]);
      const { receiptHandle } = await receiveOne(queue);
      await queue.remove([receiptHandle]);
      expect(await queue.remove([receiptHandle])).toBe(0);
    });

    claim("does nothing for empty lists", async () => {
      const queue = await newQueue();
      expect(await queue.send([])).toEqual([]);
      expect(await queue.remove([])).toBe(0);
      expect(await queue.changeVisibility([])).toBe(0);
    });

    claim("carries a message of exactly 1 MiB", async () => {
      const queue = await newQueue();
      const body = jsonOfSize(MEBIBYTE);
      expect(await queue.send([{ body }])).toEqual([SENT]);
      expect((await receiveOne(queue)).body).toBe(body);
    });

    claim("refuses a message of one byte more and sends the rest", async () => {
      const queue = await newQueue();
      const outcomes = await queue.send([message(1), { body: jsonOfSize(MEBIBYTE + 1) }, message(2)]);
      expect(outcomes).toMatchObject([SENT, { kind: "failed", code: "message_too_large", senderFault: true }, SENT]);
      expect(new Set(bodies(await receiveAll(queue, 2)))).toEqual(new Set([message(1).body, message(2).body]));
    });

    claim("counts attributes towards the size of a message", async () => {
      const queue = await newQueue();
      const attributes = { size: "x" };
      const room = MEBIBYTE - "size".length - "String".length - "x".length;
      const outcomes = await queue.send([
        { body: jsonOfSize(room), attributes },
        { body: jsonOfSize(room + 1), attributes },
      ]);
      expect(outcomes).toMatchObject([SENT, { kind: "failed", code: "message_too_large" }]);
      expect((await receiveOne(queue)).body).toHaveLength(room);
    });

    claim("splits large messages over batches by their size in bytes", async () => {
      const queue = await newQueue();
      const large = [1, 2, 3, 4].map(() => ({ body: jsonOfSize(MEBIBYTE / 2 + 1) }));
      const wide = { body: JSON.stringify("é".repeat(MEBIBYTE / 2 - 1)) };
      expect(Buffer.byteLength(wide.body)).toBe(MEBIBYTE);
      expect(await queue.send([...large, wide, message(1)])).toEqual(Array.from({ length: 6 }, () => SENT));
      expect(await receiveAll(queue, 6)).toHaveLength(6);
    });

    claim("carries any text that is written as ASCII JSON", async () => {
      const queue = await newQueue();
      const text = 'emoji 🚀, é, U+0000 \u0000, lone \ud800, U+FFFF \uffff, "quoted"\n';
      const [outcome] = await queue.send([{ body: asciiJson(JSON.stringify({ text })) }]);
      expect(outcome).toEqual(SENT);
      expect(JSON.parse((await receiveOne(queue)).body)).toEqual({ text });
    });

    claim("counts what is visible, in flight and delayed", async () => {
      const queue = await newQueue();
      await queue.send([message(1), message(2), { ...message(3), delayMs: 60_000 }]);
      await queue.receive({ max: 1, waitMs: 1_000 });
      await until(
        async () => {
          const { visible, inFlight, delayed } = await queue.depth();
          return visible === 1 && inFlight === 1 && delayed === 1;
        },
        { deadlineMs: 5_000 },
      );
    });

    claim("says whose message it is on a fair queue, which is a standard one", async () => {
      const queue = await newQueue();
      expect(await queue.send([{ ...message(1), groupId: "tenant-1" }])).toEqual([SENT]);
      expect((await receiveOne(queue)).groupId).toBe("tenant-1");
    });

    claim("keeps the order of a group on a FIFO queue, across batches", async () => {
      const queue = await newQueue({ FifoQueue: "true" });
      const messages = Array.from({ length: 12 }, (_, index) => ({
        ...message(index),
        groupId: "one",
        deduplicationId: randomUUID(),
      }));
      expect(await queue.send(messages)).toEqual(messages.map(() => SENT));
      const received: Delivery[] = [];
      while (received.length < messages.length) {
        const batch = await queue.receive({ max: 10, waitMs: 5_000 });
        expect(batch.every(({ groupId }) => groupId === "one")).toBe(true);
        await queue.remove(batch.map(({ receiptHandle }) => receiptHandle));
        received.push(...batch);
      }
      expect(bodies(received)).toEqual(messages.map(({ body }) => body));
    });

    claim("holds back the rest of a group while one of its messages is in flight, and no other group", async () => {
      const queue = await newQueue({ FifoQueue: "true" });
      const inGroup = (index: number, groupId: string): Outgoing => ({
        ...message(index),
        groupId,
        deduplicationId: randomUUID(),
      });
      await queue.send([inGroup(1, "a"), inGroup(2, "a"), inGroup(3, "b")]);
      const first = await queue.receive({ max: 1, waitMs: 1_000 });
      const second = await queue.receive({ max: 1, waitMs: 1_000 });
      expect([...first, ...second].map(({ groupId }) => groupId).toSorted()).toEqual(["a", "b"]);
      expect(await queue.receive({ max: 1, waitMs: 0 })).toEqual([]);
      await queue.remove([...first, ...second].map(({ receiptHandle }) => receiptHandle));
      expect(bodies(await receiveAll(queue, 1))).toEqual([message(2).body]);
    });

    claim("takes a message with a known deduplication id for sent", async () => {
      const queue = await newQueue({ FifoQueue: "true" });
      const once = { ...message(1), groupId: "one", deduplicationId: randomUUID() };
      expect(await queue.send([once])).toEqual([SENT]);
      expect(await queue.send([once])).toEqual([SENT]);
      const { receiptHandle } = await receiveOne(queue);
      await queue.remove([receiptHandle]);
      expect(await queue.receive({ max: 1, waitMs: 0 })).toEqual([]);
    });

    claim("reports what the service refuses, entry by entry, and holds back what follows in the group", async () => {
      const queue = await newQueue({ FifoQueue: "true" });
      const inGroup = (index: number, groupId: string): Outgoing => ({
        ...message(index),
        groupId,
        deduplicationId: randomUUID(),
      });
      // SQS has no delay for a single FIFO message.
      const refused = { ...inGroup(0, "a"), delayMs: 1_000 };
      const fill = Array.from({ length: 9 }, (_, index) => inGroup(index, "b"));
      const outcomes = await queue.send([refused, ...fill, inGroup(10, "a"), inGroup(11, "b")]);
      expect(outcomes).toMatchObject([
        { kind: "failed", senderFault: true },
        ...fill.map(() => SENT),
        { kind: "failed", code: "group_held_back", senderFault: false },
        SENT,
      ]);
      const arrived: Delivery[] = [];
      while (arrived.length < 10) {
        const batch = await queue.receive({ max: 10, waitMs: 5_000 });
        await queue.remove(batch.map(({ receiptHandle }) => receiptHandle));
        arrived.push(...batch);
      }
      expect(arrived.map(({ groupId }) => groupId)).toEqual(Array.from({ length: 10 }, () => "b"));
      expect(await queue.receive({ max: 10, waitMs: 0 })).toEqual([]);
    });

    it("is known to differ in nothing but claims of this suite", () => {
      expect(differences.map((one) => one.claim).filter((name) => !claims.includes(name))).toEqual([]);
    });
  });
}

const SENT = { kind: "sent" };

function message(index: number): Outgoing {
  return { body: JSON.stringify({ index }) };
}

function jsonOfSize(bytes: number): string {
  return JSON.stringify("x".repeat(bytes - 2));
}

function bodies(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ body }) => body);
}

async function receiveOne(queue: Queue): Promise<Delivery> {
  const [delivery] = await receiveAll(queue, 1);
  if (delivery === undefined) throw new Error("nothing was received");
  return delivery;
}

/** Receives, without deleting, until so many have come: a long poll may return early or with fewer. */
async function receiveAll(queue: Queue, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  await until(
    async () => {
      deliveries.push(...(await queue.receive({ max: 10, waitMs: 2_000 })));
      return deliveries.length >= count;
    },
    { what: `${count} messages` },
  );
  return deliveries;
}
