/** What the policies allow and no test can use: each has to say why it is there all the same. */
import type { Exception } from "./compare.ts";
import type { Place } from "./permissions.ts";

const NO_CONSUMER = "Queues of type fifo are made already; what sends to them and polls them is not there yet.";

export function exceptionsOf(role: "api" | "worker", { partition, region, accountId }: Place): Exception[] {
  const arn = (name: string) => `arn:${partition}:sqs:${region}:${accountId}:taskiq-grants-${name}`;
  const actions = ACTIONS[role];
  return [
    ...actions.queue.map((action) => ({ action, resource: arn("ordered.fifo"), reason: NO_CONSUMER })),
    ...actions.deadLetter.map((action) => ({ action, resource: arn("dead-letter.fifo"), reason: NO_CONSUMER })),
  ];
}

const ACTIONS = {
  api: {
    queue: ["sqs:SendMessage", "sqs:GetQueueAttributes"],
    deadLetter: ["sqs:SendMessage", "sqs:GetQueueAttributes"],
  },
  worker: {
    queue: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:SendMessage"],
    deadLetter: ["sqs:SendMessage"],
  },
} as const;
