/**
 * The attributes of a dead letter: what an operator wants to know at a glance, wherever messages are looked at. SQS takes ten of them, none empty, of
 * an XML subset of Unicode; names and codes are other people's text, so each is printable ASCII of at most 200 characters.
 */
import { detail } from "./mismatch.ts";
import { isPointerAttribute } from "./pointer.ts";

export type Attributes = Readonly<Record<string, string>>;

export type DeadTask = {
  /** Code of the error it failed with. */
  readonly reason: string;
  /** Class of what was thrown. */
  readonly errorType: string | null;
  readonly taskId: string;
  readonly task: string;
  readonly queue: string;
  readonly attempt: number;
  /** Who ran it last. */
  readonly worker: string | null;
  readonly failedAt: Date | null;
};

export type PoisonMessage = {
  readonly reason: string;
  /** What was expected and what came. */
  readonly detail: string;
  readonly queue: string;
  /** Of the original, as the log has it. */
  readonly messageId: string;
  /** The task it names, where it can be read. */
  readonly taskId: string | null;
  readonly failedAt: Date;
  readonly original: Attributes;
};

const MAX_ATTRIBUTES = 10;

/** Of a task that failed for good. */
export function deadTaskAttributes(dead: DeadTask): Attributes {
  return present({
    reason: dead.reason,
    error_type: dead.errorType,
    task: dead.task,
    task_id: dead.taskId,
    attempt: String(dead.attempt),
    source_queue: dead.queue,
    worker: dead.worker,
    failed_at: dead.failedAt?.toISOString() ?? null,
  });
}

/** Of a message that can never run: ours, and as many of its own as SQS takes, first those that make its body a pointer. */
export function poisonAttributes(poison: PoisonMessage): Attributes {
  const ours = present({
    reason: poison.reason,
    detail: poison.detail,
    task_id: poison.taskId,
    source_queue: poison.queue,
    message_id: poison.messageId,
    failed_at: poison.failedAt.toISOString(),
  });
  const room = MAX_ATTRIBUTES - Object.keys(ours).length;
  const original = Object.entries(poison.original)
    .filter(([name]) => !Object.hasOwn(ours, name))
    .toSorted(([one], [other]) => Number(isPointerAttribute(other)) - Number(isPointerAttribute(one)));
  return { ...Object.fromEntries(original.slice(0, room)), ...ours };
}

function present(values: Readonly<Record<string, string | null>>): Attributes {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === null || value === "" ? [] : [[name, detail(value)]])),
  );
}
