/** Alarms on what SQS says about the queues. It says so also when no container of ours runs. */
import type { AlarmRule } from "./alarm-rule.ts";
import { queueMetric, type Watched, type WatchedQueue } from "./watched.ts";

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;

const BRIEFLY = { periodSeconds: MINUTE, periods: [3, 5], missing: "notBreaching" } as const;
const AT_ONCE = { periodSeconds: MINUTE, periods: [1, 1], missing: "notBreaching" } as const;
const HOURLY = { periodSeconds: HOUR, periods: [1, 1], missing: "notBreaching" } as const;

export function queueAlarms({ queues }: Watched): AlarmRule[] {
  return queues.flatMap((queue) => {
    if (queue.deadLetter) return deadLetterAlarms(queue);
    return queue.cancel === true ? cancelAlarms(queue) : taskAlarms(queue);
  });
}

/**
 * Messages of standard queues are deleted when their task is claimed, so their age is the time tasks wait. In FIFO and
 * fair queues they stay until the task is finished, and a long task alone makes them old.
 */
function taskAlarms(queue: WatchedQueue): AlarmRule[] {
  const isFair = queue.fair === true;
  const isDeletedAtClaim = !isFair && !queue.queueName.endsWith(".fifo");
  const age = queueMetric(queue, "ApproximateAgeOfOldestMessage", "Maximum");
  const waiting: AlarmRule[] = [
    {
      id: `${queue.name}-oldest-300s`,
      severity: "warn",
      runbook: "oldest-message",
      means: `Tasks of queue "${queue.name}" wait more than 5 minutes for a worker.`,
      todo: "Compare workers with their maximum and look for long or failing tasks.",
      signal: age,
      comparison: ">",
      threshold: 300,
      ...BRIEFLY,
    },
    {
      id: `${queue.name}-oldest-1800s`,
      severity: "page",
      runbook: "oldest-message",
      means: `Tasks of queue "${queue.name}" wait more than 30 minutes for a worker.`,
      todo: "Check that workers run and claim, then raise the maximum number of workers.",
      signal: age,
      comparison: ">",
      threshold: 1_800,
      ...BRIEFLY,
    },
    {
      id: `${queue.name}-unconsumed`,
      severity: "page",
      runbook: "unconsumed-queue",
      means: `Queue "${queue.name}" has messages and for 10 minutes none was taken out.`,
      todo: "Read the workers' log for database or permission errors; restart the service if it hangs.",
      signal: {
        expression: "IF(FILL(visible, 0) > 0 AND FILL(deleted, 0) < 1, 1, 0)",
        of: {
          visible: queueMetric(queue, "ApproximateNumberOfMessagesVisible", "Minimum"),
          deleted: queueMetric(queue, "NumberOfMessagesDeleted", "Sum"),
        },
      },
      comparison: ">=",
      threshold: 1,
      periodSeconds: 5 * MINUTE,
      periods: [2, 2],
      missing: "notBreaching",
    },
  ];
  const quiet: AlarmRule = {
    id: `${queue.name}-oldest-quiet-120s`,
    severity: "page",
    runbook: "quiet-tenants",
    means: `In queue "${queue.name}" tenants with little work wait more than 2 minutes behind a busy one.`,
    todo: "Raise the number of workers; find the busy tenant in the list of tasks.",
    signal: queueMetric(queue, "ApproximateAgeOfOldestMessageInQuietGroups", "Maximum"),
    comparison: ">",
    threshold: 120,
    ...BRIEFLY,
  };
  const always: AlarmRule[] = [
    {
      id: `${queue.name}-retention`,
      severity: "page",
      runbook: "retention",
      means: `Messages of queue "${queue.name}" have used a quarter of the time after which SQS deletes them.`,
      todo: "Get the workers going; tasks are safe in Postgres and are rung again, but later than due.",
      signal: age,
      comparison: ">",
      threshold: Math.floor(queue.retentionSeconds / 4),
      ...HOURLY,
    },
    {
      id: `${queue.name}-in-flight`,
      severity: "warn",
      runbook: "in-flight",
      means: `Queue "${queue.name}" has 90,000 messages in flight; SQS hands out no more at 120,000.`,
      todo: "Look for workers that receive messages and do not delete them.",
      signal: queueMetric(queue, "ApproximateNumberOfMessagesNotVisible", "Maximum"),
      comparison: ">",
      threshold: 90_000,
      ...BRIEFLY,
    },
  ];
  return [...(isDeletedAtClaim ? waiting : []), ...(isFair ? [quiet] : []), ...always];
}

function deadLetterAlarms(queue: WatchedQueue): AlarmRule[] {
  const visible = queueMetric(queue, "ApproximateNumberOfMessagesVisible", "Maximum");
  return [
    {
      id: `${queue.name}-visible-1`,
      severity: "warn",
      runbook: "dead-letter",
      means: `A task's attempts are spent, or a message could not be read: see "${queue.name}".`,
      todo: "Read the message's reason and its task, repair the cause, then retry the task.",
      signal: visible,
      comparison: ">=",
      threshold: 1,
      ...AT_ONCE,
    },
    {
      id: `${queue.name}-visible-100`,
      severity: "page",
      runbook: "dead-letter",
      means: `100 tasks or messages have failed into "${queue.name}": a cause that they share.`,
      todo: "Look at the last deployment and at what the tasks depend on before retrying any.",
      signal: visible,
      comparison: ">=",
      threshold: 100,
      ...AT_ONCE,
    },
    {
      id: `${queue.name}-oldest-7d`,
      severity: "warn",
      runbook: "dead-letter-age",
      means: `Messages have been in "${queue.name}" for a week and are deleted when their retention is over.`,
      todo: "Retry or dismiss the tasks they belong to.",
      signal: queueMetric(queue, "ApproximateAgeOfOldestMessage", "Maximum"),
      comparison: ">",
      threshold: 7 * DAY,
      ...HOURLY,
    },
  ];
}

function cancelAlarms(queue: WatchedQueue): AlarmRule[] {
  return [
    {
      id: `${queue.name}-oldest-30s`,
      severity: "warn",
      runbook: "cancel-queue",
      means: "Requests to cancel wait more than 30 seconds.",
      todo: "Check that the API service, which applies them, runs and reaches its database.",
      signal: queueMetric(queue, "ApproximateAgeOfOldestMessage", "Maximum"),
      comparison: ">",
      threshold: 30,
      ...BRIEFLY,
    },
  ];
}
