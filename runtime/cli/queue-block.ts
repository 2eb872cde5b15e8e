/** Queues for people to read: a line each, or one fact a line. */
import type { Queue } from "../client/queues.ts";
import type { Paper } from "./screen.ts";
import { duration, oneLine } from "./text.ts";

const NAME_COLUMNS = 13;
/** Where the API stops to count. */
const MOST_COUNTED = 10_000;
const HEAD = ["QUEUE", "TYPE", "QUEUED", "RUNNING", "OLDEST", "DEAD", "WORKERS", "STATE"];

export function queueTable(queues: readonly Queue[], paper: Paper): string[] {
  const rows = [HEAD, ...queues.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row, index) => {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
    const queue = queues[index - 1];
    if (index === 0) return paper.style("dim", line.trimEnd());
    return queue === undefined || queue.pausedAt === null ? line.trimEnd() : paper.style("yellow", line.trimEnd());
  });
}

export function queueBlock(queue: Queue, paper: Paper): string {
  const facts: [string, string | null][] = [
    ["type", kindOf(queue)],
    ["paused", queue.pausedAt === null ? null : pausedSince(queue)],
    ["queued", counted(queue.queued)],
    ["running", counted(queue.running)],
    ["oldest due", queue.oldestAgeMs === null ? "none" : duration(queue.oldestAgeMs)],
    ["unsent", queue.unsent === 0 ? null : counted(queue.unsent)],
    ["workers", `${queue.workers} with ${queue.slots} slots`],
    ["messages", queue.visible === null ? null : messagesOf(queue)],
    ["dead letters", queue.deadLettered === null ? "unknown" : String(queue.deadLettered)],
    [
      "share",
      `weight ${queue.weight}${queue.maxSlots === null ? "" : `, at most ${queue.maxSlots} slots of a worker`}`,
    ],
    ["error", queue.error],
  ];
  const isPaused = queue.pausedAt !== null;
  return [
    `${paper.style("bold", oneLine(queue.name))}  ${paper.style(isPaused ? "yellow" : "green", isPaused ? "paused" : "active")}`,
    ...facts.flatMap(([name, value]) =>
      value === null ? [] : [`  ${paper.style("dim", name.padEnd(NAME_COLUMNS))}${oneLine(value)}`],
    ),
  ].join("\n");
}

function cells(queue: Queue): string[] {
  return [
    oneLine(queue.name),
    queue.type,
    counted(queue.queued),
    counted(queue.running),
    queue.oldestAgeMs === null ? "-" : duration(queue.oldestAgeMs),
    queue.deadLettered === null ? "?" : String(queue.deadLettered),
    String(queue.workers),
    queue.pausedAt === null ? "active" : "paused",
  ];
}

function kindOf({ type, order, fair, delayByPriority }: Queue): string {
  const extras = [
    fair ? ["fair between tenants"] : [],
    order === "priority" ? ["best task first"] : [],
    delayByPriority ? ["low priorities are delayed"] : [],
  ].flat();
  return [type, ...extras].join(", ");
}

function pausedSince({ pausedAt, pausedBy }: Queue): string {
  return `since ${pausedAt?.toISOString()}${pausedBy === null ? "" : ` by ${pausedBy}`}`;
}

function messagesOf({ visible, inFlight, delayed }: Queue): string {
  return `${visible} wait, ${inFlight} in flight, ${delayed} delayed`;
}

function counted(count: number): string {
  return count >= MOST_COUNTED ? `${MOST_COUNTED}+` : String(count);
}
