/** The queues of a stack: those of the configuration, a dead-letter queue of each type among them, and the cancel queue. */
import * as pulumi from "@pulumi/pulumi";
import { CANCEL_RETENTION_SECONDS, CancelQueue } from "./cancel-queue.ts";
import type { QueueSettings } from "./config.ts";
import { DeadLetterQueue } from "./dead-letter-queue.ts";
import type { Account } from "./statement.ts";
import { TaskQueue } from "./task-queue.ts";
import type { WatchedQueue } from "./watched.ts";

export type QueuesArgs = {
  readonly prefix: string;
  readonly queues: readonly QueueSettings[];
  /** Of the dead-letter queues, in seconds. */
  readonly retentionSeconds: number;
  readonly cancellation: boolean;
  readonly tlsOnly: boolean;
  readonly account: Account;
};

type Member = { readonly settings: QueueSettings; readonly queue: TaskQueue; readonly deadLetter: DeadLetterQueue };

export type Queues = {
  readonly members: readonly Member[];
  readonly deadLetters: readonly DeadLetterQueue[];
  readonly cancel: CancelQueue | null;
  /** JSON for TASKIQ_QUEUES. */
  readonly json: pulumi.Output<string>;
  /** Of all of them, by their names in the stack. */
  readonly urls: Readonly<Record<string, pulumi.Output<string>>>;
  readonly arns: Readonly<Record<string, pulumi.Output<string>>>;
  readonly watched: readonly WatchedQueue[];
};

export function createQueues(args: QueuesArgs, opts: pulumi.ComponentResourceOptions): Queues {
  const { account, tlsOnly, prefix } = args;
  const deadLetters = new Map<QueueSettings["type"], DeadLetterQueue>();
  const watched: WatchedQueue[] = [];
  for (const type of ["standard", "fifo"] as const) {
    const sources = args.queues.filter((queue) => queue.type === type);
    if (sources.length === 0) continue;
    const retentionSeconds = Math.max(args.retentionSeconds, ...sources.map((queue) => queue.retentionSeconds));
    const name = type === "fifo" ? "dead-letter-fifo" : "dead-letter";
    const queueName = physicalName(prefix, { name: "dead-letter", type });
    watched.push({ name, queueName, deadLetter: true, retentionSeconds });
    deadLetters.set(
      type,
      new DeadLetterQueue(
        name,
        {
          queueName,
          type,
          retentionSeconds,
          sources: sources.map((queue) => physicalName(prefix, queue)),
          account,
          tlsOnly,
        },
        opts,
      ),
    );
  }
  const members = args.queues.map((settings) => {
    const deadLetter = deadLetters.get(settings.type)!; // made above for every type there is
    const queueName = physicalName(prefix, settings);
    const queue = new TaskQueue(settings.name, { ...settings, queueName, deadLetter, account, tlsOnly }, opts);
    const { name, fair, retentionSeconds } = settings;
    watched.push({ name, queueName, deadLetter: false, fair, retentionSeconds });
    return { settings, queue, deadLetter };
  });
  const cancel = args.cancellation
    ? new CancelQueue("cancel", { queueName: `${prefix}-cancel`, account, tlsOnly }, opts)
    : null;
  if (cancel !== null) {
    const { queueName } = cancel;
    watched.push({
      name: "cancel",
      queueName,
      deadLetter: false,
      cancel: true,
      retentionSeconds: CANCEL_RETENTION_SECONDS,
    });
  }
  const all = [
    ...members.map(({ settings: { name }, queue }) => ({ name, queue })),
    ...[...deadLetters].map(([type, queue]) => ({ name: type === "fifo" ? "dead-letter-fifo" : "dead-letter", queue })),
    ...(cancel === null ? [] : [{ name: "cancel", queue: cancel }]),
  ];
  const entries = members.map(({ settings: { name, type, runtime }, queue, deadLetter }) => ({
    name,
    url: queue.url,
    deadLetterUrl: deadLetter.url,
    ...runtime,
    type,
  }));
  const cancelEntries = cancel === null ? [] : [{ name: "cancel", url: cancel.url, type: "cancel" }];
  return {
    members,
    deadLetters: [...deadLetters.values()],
    cancel,
    urls: Object.fromEntries(all.map(({ name, queue }) => [name, queue.url])),
    arns: Object.fromEntries(all.map(({ name, queue }) => [name, queue.arn])),
    watched,
    json: pulumi.jsonStringify([...entries, ...cancelEntries]),
  };
}

/** Where the queues' producers put messages that are too large for SQS, each place once. */
export function extendedPrefixes(queues: readonly QueueSettings[]): string[] {
  return [...new Set(queues.flatMap(({ runtime: { accepts } }) => accepts?.extendedPrefix ?? []))];
}

function physicalName(prefix: string, { name, type }: Pick<QueueSettings, "name" | "type">): string {
  return `${prefix}-${name}${type === "fifo" ? ".fifo" : ""}`;
}
