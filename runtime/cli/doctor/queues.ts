/** Each queue with its dead-letter queue: does it exist, and do its settings fit to how messages are used here? */
import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { systemClock as clock } from "../../clock.ts";
import type { QueueConfig } from "../../config.ts";
import { ackOf, type QueueOptions } from "../../model/queue.ts";
import { openSqsClient, type SqsClient } from "../../queue/sqs-client.ts";
import { describeAwsFailure } from "./aws-failure.ts";
import { CHECK_MS, withinMs } from "./bounded.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import type { AwsPlace } from "./settings.ts";

type Attributes = Readonly<Record<string, string | undefined>>;

const MIN_VISIBILITY_SECONDS = 30;
const MIN_RECEIVE_COUNT = 3;
const USUAL_RECEIVE_COUNT = 5;
/** Where SQS sees a message in flight until its task is over: it comes back often, and the database counts the attempts. */
const FINISHED_RECEIVE_COUNT = 1_000;
const DAY_SECONDS = 86_400;

/** Every queue and every dead-letter queue at once, and the cancel queue where there is one. */
export async function checkQueues(
  aws: AwsPlace,
  queues: readonly QueueConfig[],
  cancelUrl: string | null,
): Promise<Finding[]> {
  const client = openSqsClient({
    ...aws,
    maxAttempts: 1,
    timeoutMs: CHECK_MS,
    connectTimeoutMs: CHECK_MS,
    maxSockets: 50,
    clock,
  });
  try {
    const findings = await Promise.all([
      ...queues.map((queue) => checkQueue(client, queue)),
      ...(cancelUrl === null ? [] : [checkCancelQueue(client, cancelUrl)]),
    ]);
    return findings.flat();
  } finally {
    client.close();
  }
}

async function checkQueue(client: SqsClient, { name, url, deadLetterUrl, options }: QueueConfig): Promise<Finding[]> {
  const check = `queue ${name}`;
  const deadCheck = `dead ${name}`;
  const [queue, dead] = await Promise.all([look(client, check, url), look(client, deadCheck, deadLetterUrl)]);
  const retention = Number(queue.attributes?.MessageRetentionPeriod ?? 0);
  return [
    ...(queue.attributes === null ? [queue.finding] : judge(check, queue.attributes, deadLetterUrl, options)),
    ...(dead.attributes === null ? [dead.finding] : judgeDead(deadCheck, dead.attributes, retention, options)),
  ];
}

type Look =
  | { readonly attributes: Attributes; readonly finding: null }
  | { readonly attributes: null; readonly finding: Finding };

async function look(client: SqsClient, check: string, url: string): Promise<Look> {
  try {
    const command = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["All"] });
    const { Attributes: attributes } = await withinMs(CHECK_MS, clock, client.call(command));
    return { attributes: attributes ?? {}, finding: null };
  } catch (error) {
    const finding = describeAwsFailure(check, error, { actions: "sqs:GetQueueAttributes", name: "TASKIQ_QUEUES" });
    return { attributes: null, finding };
  }
}

function judge(check: string, attributes: Attributes, deadLetterUrl: string, options: QueueOptions): Finding[] {
  const visibility = Number(attributes.VisibilityTimeout ?? 0);
  const retention = Number(attributes.MessageRetentionPeriod ?? 0);
  const redrive = redriveOf(attributes);
  const policy = redrive === null ? "" : `, ${redrive.maxReceiveCount} deliveries`;
  const findings = [
    ok(
      check,
      `${depthOf(attributes)}; hidden for ${visibility} s, kept ${daysOf(retention)}${policy}${kindOf(options)}.`,
    ),
    ...judgeType(check, attributes, options),
  ];
  const delay = Number(attributes.DelaySeconds ?? 0);
  if (delay > 0) {
    const told = `Every message waits ${delay} s before it is delivered.`;
    findings.push(warn(check, told, "Set its delivery delay to 0: delays are kept in the database."));
  }
  if (visibility < MIN_VISIBILITY_SECONDS) {
    findings.push(
      warn(
        check,
        `A received message is hidden for ${visibility} s only.`,
        "Set its visibility timeout to 300 s: a message that comes back before it was claimed is delivered twice.",
      ),
    );
  }
  if (retention < DAY_SECONDS) {
    findings.push(
      warn(check, `Messages are kept ${daysOf(retention)} only.`, "Set its retention period to 1209600 s, 14 days."),
    );
  }
  return [...findings, ...judgeRedrive(check, redrive, nameIn(deadLetterUrl), options)];
}

function kindOf({ type, fair, order }: QueueOptions): string {
  if (type === "fifo") return "; FIFO";
  if (fair) return "; fair between tenants";
  return order === "priority" ? "; ordered by priority" : "";
}

/** The type of a queue cannot be changed; another one has to be made. */
function judgeType(check: string, attributes: Attributes, { type }: QueueOptions): Finding[] {
  const isFifo = attributes.FifoQueue === "true";
  if (type === "standard" && isFifo) {
    const advice = 'Give TASKIQ_QUEUES a standard queue for it, or set its type to "fifo".';
    return [warn(check, "This is a FIFO queue, used as a standard one.", advice)];
  }
  if (type === "standard") return [];
  if (!isFifo) {
    const advice = 'Give TASKIQ_QUEUES a FIFO queue for it (its name ends in .fifo), or set its type to "standard".';
    return [fail(check, "This is a standard queue, used as a FIFO one: it refuses every message.", advice)];
  }
  const findings: Finding[] = [];
  if (attributes.DeduplicationScope !== "messageGroup" || attributes.FifoThroughputLimit !== "perMessageGroupId") {
    const advice = "Set DeduplicationScope to messageGroup and FifoThroughputLimit to perMessageGroupId.";
    findings.push(warn(check, "It is limited to 300 requests a second: high throughput is off.", advice));
  }
  if (attributes.ContentBasedDeduplication === "true") {
    const told =
      "Content-based deduplication is on: of equal messages without an id of their own only the first arrives.";
    findings.push(warn(check, told, "Set ContentBasedDeduplication to false: every doorbell has an id."));
  }
  return findings;
}

/** It carries requests, not tasks: one that cannot be applied is moot, and is not kept. */
async function checkCancelQueue(client: SqsClient, url: string): Promise<Finding[]> {
  const check = "queue cancel";
  const { attributes, finding } = await look(client, check, url);
  if (attributes === null) return [finding];
  if (attributes.FifoQueue === "true") {
    return [warn(check, "The cancel queue is a FIFO queue.", "Give TASKIQ_QUEUES a standard queue for it.")];
  }
  if (redriveOf(attributes) !== null) {
    const advice =
      "Take its redrive policy away: nobody looks there for cancellations, and a later redrive would cancel again.";
    return [warn(check, "It has a dead-letter queue.", advice)];
  }
  return [ok(check, `${depthOf(attributes)}; cancellations are asked for here.`)];
}

function judgeRedrive(
  check: string,
  redrive: Redrive | null,
  deadLetterName: string,
  options: QueueOptions,
): Finding[] {
  const wanted = ackOf(options) === "finished" ? FINISHED_RECEIVE_COUNT : USUAL_RECEIVE_COUNT;
  if (redrive === null) {
    const advice = `Set a redrive policy to ${deadLetterName} with maxReceiveCount ${wanted}.`;
    return [warn(check, "It has no redrive policy: a message that nobody can take comes back for ever.", advice)];
  }
  const findings: Finding[] = [];
  if (redrive.target !== deadLetterName) {
    const told = `SQS moves dead messages to ${redrive.target}, the configuration says ${deadLetterName}.`;
    findings.push(warn(check, told, "Correct deadLetterUrl in TASKIQ_QUEUES, or the redrive policy."));
  }
  if (ackOf(options) === "finished" && redrive.maxReceiveCount < FINISHED_RECEIVE_COUNT) {
    const told = `A message is moved away after ${redrive.maxReceiveCount} deliveries.`;
    const why =
      "here a message is received again while its task runs or waits for its turn, and the database counts the attempts.";
    findings.push(warn(check, told, `Set maxReceiveCount to ${FINISHED_RECEIVE_COUNT}: ${why}`));
  } else if (redrive.maxReceiveCount < MIN_RECEIVE_COUNT) {
    const told = `A message is moved away after ${redrive.maxReceiveCount} deliveries.`;
    findings.push(warn(check, told, "Set maxReceiveCount to 5: an outage of the database must not use it up."));
  }
  return findings;
}

function judgeDead(check: string, attributes: Attributes, queueRetention: number, { type }: QueueOptions): Finding[] {
  const retention = Number(attributes.MessageRetentionPeriod ?? 0);
  const count = Number(attributes.ApproximateNumberOfMessages ?? 0);
  const told = `${count} dead ${count === 1 ? "message" : "messages"}, kept ${daysOf(retention)}.`;
  const first =
    count === 0
      ? ok(check, told)
      : warn(check, told, "Tasks failed for good there: look at their reason, and at them with task show.");
  if ((type === "fifo") !== (attributes.FifoQueue === "true")) {
    const wanted = type === "fifo" ? "FIFO" : "standard";
    const told = `The queue is a ${wanted} one, its dead-letter queue is not.`;
    return [
      first,
      fail(check, told, `Give it a ${wanted} queue for its dead messages: SQS moves none to another type.`),
    ];
  }
  if (retention >= queueRetention) return [first];
  // A moved message keeps the age it had.
  const shorter = "Dead messages are kept for a shorter time than those of the queue itself.";
  return [first, warn(check, shorter, `Set its retention period to ${queueRetention} s or more.`)];
}

type Redrive = { readonly target: string; readonly maxReceiveCount: number };

function redriveOf({ RedrivePolicy: json }: Attributes): Redrive | null {
  if (json === undefined || json === "") return null;
  // SQS wrote it. The count comes as a number or as text.
  const policy = JSON.parse(json) as { deadLetterTargetArn?: string; maxReceiveCount?: number | string };
  const target = policy.deadLetterTargetArn?.split(":").at(-1);
  return target === undefined ? null : { target, maxReceiveCount: Number(policy.maxReceiveCount ?? 0) };
}

function depthOf(attributes: Attributes): string {
  const { ApproximateNumberOfMessages: visible = "0", ApproximateNumberOfMessagesNotVisible: inFlight = "0" } =
    attributes;
  return `${visible} visible, ${inFlight} in flight, ${attributes.ApproximateNumberOfMessagesDelayed ?? "0"} delayed`;
}

function daysOf(seconds: number): string {
  return seconds % DAY_SECONDS === 0 ? `${seconds / DAY_SECONDS} d` : `${seconds} s`;
}

function nameIn(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}
