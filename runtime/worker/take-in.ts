/**
 * Messages of other producers on their way to being tasks of ours: what a pointer points to is fetched, what the queue accepts gets its row, and the
 * message rings from then on like a doorbell. A batch of doorbells passes as it is.
 */

import { type ErrorCode, TaskiqError } from "../errors.ts";
import type { Adopted, ForeignTask } from "../flow/adopt.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import type { ForeignMessage, ForeignTaskReader } from "../flow/foreign-task.ts";
import type { Log } from "../log.ts";
import type { AcceptOptions } from "../model/queue.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { isConnectionError } from "../postgres/pool.ts";
import type { Delivery } from "../queue/queue.ts";
import { type Decoded, decodeMessage } from "../wire/message.ts";
import { type Pointer, readPointer } from "../wire/pointer.ts";

type PointerTo = Extract<Pointer, { kind: "pointer" }>;

export type Content =
  | Decoded
  /** The body only says where in S3 the message is. `id`: of the task, where the body names one all the same. */
  | { readonly kind: "pointer"; readonly id: string | null; readonly to: PointerTo }
  /** It cannot be taken in, ever. */
  | { readonly kind: "refused"; readonly id: string | null; readonly code: ErrorCode; readonly detail: string };

export type Read = { readonly delivery: Delivery; readonly content: Content };

export type TakenIn = {
  /** To be judged by the tasks they name: those that were taken in are doorbells now. */
  readonly read: readonly Read[];
  /** Tasks that were claimed as they were taken in. */
  readonly claimed: ReadonlyMap<string, ClaimedTask>;
  /** What could not be looked at because something is away. */
  readonly later: readonly Delivery[];
};

/** @param claims whether each message has a slot  Never rejects. */
export type TakeIn = (messages: readonly Delivery[], claims: boolean) => Promise<TakenIn>;

export type TakeInParts = {
  readonly queue: string;
  readonly accepts: AcceptOptions;
  readonly reader: ForeignTaskReader;
  readonly payloads: PayloadStore;
  readonly log: Log;
  /** Null: the database is away. */
  adopt(tasks: readonly ForeignTask[], claims: boolean): Promise<ReadonlyMap<string, Adopted> | null>;
};

const NONE: ReadonlyMap<string, ClaimedTask> = new Map();

/** Messages as they came. */
export function readMessages(messages: readonly Delivery[]): Read[] {
  return messages.map((delivery) => ({ delivery, content: contentOf(delivery) }));
}

/** For a queue that accepts nothing from others. */
export const takeNothingIn: TakeIn = async (messages) => ({ read: readMessages(messages), claimed: NONE, later: [] });

export function createTakeIn(parts: TakeInParts): TakeIn {
  const { queue, accepts, reader, payloads, log } = parts;

  return async (messages, claims) => {
    const read = readMessages(messages);
    if (read.every(({ content }) => !isForeign(content))) return { read, claimed: NONE, later: [] };
    const later: Delivery[] = [];
    const known = await Promise.all(read.map((entry) => followed(entry)));
    const tasks = new Map<string, ForeignTask>();
    const judged: Read[] = [];
    for (const entry of known) {
      const taken = entry === null ? null : await prepared(entry, tasks);
      if (taken !== null) judged.push(taken);
    }
    const named = new Set(judged.map(({ delivery }) => delivery));
    later.push(...messages.filter((message) => !named.has(message)));
    if (tasks.size === 0) return { read: judged, claimed: NONE, later };
    const adopted = await parts.adopt([...tasks.values()], claims);
    if (adopted === null) {
      const away = judged.filter(({ content }) => content.id !== null && tasks.has(content.id));
      later.push(...away.map(({ delivery }) => delivery));
      return { read: judged.filter((entry) => !away.includes(entry)), claimed: NONE, later };
    }
    return { read: judged, claimed: claimedOf(adopted, tasks), later };
  };

  /** The entry with what its pointer points to; null: S3 is away. */
  async function followed(entry: Read): Promise<Read | null> {
    const { content } = entry;
    if (content.kind !== "pointer") return entry;
    try {
      const inner = decodeMessage(await payloads.getFrom(content.to, accepts.extendedPrefix));
      return { ...entry, content: inner };
    } catch (error) {
      if (!(error instanceof TaskiqError) || error.code === "payload_unavailable") return null;
      const code = error.code === "payload_ref_invalid" ? "foreign_pointer" : error.code;
      return { ...entry, content: { kind: "refused", id: content.id, code, detail: error.message } };
    }
  }

  /** The entry as a doorbell, its task among `tasks`; what is no foreign task as it is. Null: something is away. */
  async function prepared(entry: Read, tasks: Map<string, ForeignTask>): Promise<Read | null> {
    const { content, delivery } = entry;
    if (content.kind !== "foreign") return entry;
    const rings: Read = { delivery, content: { kind: "doorbell", id: content.id } };
    if (tasks.has(content.id)) return rings;
    const task = await read(content, delivery);
    if (task === "away") return null;
    if (task === null) {
      const detail = `${content.message.taskName}: expected a task that the queue ${queue} accepts from other producers`;
      return { delivery, content: { kind: "refused", id: content.id, code: "not_accepted", detail } };
    }
    tasks.set(task.id, task);
    return rings;
  }

  async function read(message: ForeignMessage, { groupId }: Delivery): Promise<ForeignTask | null | "away"> {
    try {
      return await reader.read(message, groupId ?? null);
    } catch (error) {
      const isAway = isConnectionError(error) || (error instanceof TaskiqError && error.code === "payload_unavailable");
      if (!isAway) log.error("process.failed", { queue, error });
      return "away";
    }
  }

  function claimedOf(
    adopted: ReadonlyMap<string, Adopted>,
    tasks: ReadonlyMap<string, ForeignTask>,
  ): ReadonlyMap<string, ClaimedTask> {
    const claimed = new Map<string, ClaimedTask>();
    for (const [id, { state, task }] of adopted) {
      if (task !== null) claimed.set(id, task);
      const error = tasks.get(id)?.error;
      if (state !== "failed" || error === undefined || error === null) continue;
      const { code, type, message } = error;
      log.error("task.failed", { taskId: id, task: tasks.get(id)?.name, queue, code, error: `${type}: ${message}` });
    }
    return claimed;
  }
}

function isForeign({ kind }: Content): boolean {
  return kind === "foreign" || kind === "pointer";
}

function contentOf(delivery: Delivery): Content {
  const decoded = decodeMessage(delivery.body);
  const pointer = readPointer(delivery.body, delivery.attributes);
  // The id is kept: a message whose id has a row is never poison, whatever its attributes promise.
  switch (pointer.kind) {
    case "none":
      return decoded;
    case "pointer":
      return { kind: "pointer", id: decoded.id, to: pointer };
    case "unreadable":
      return { kind: "unreadable", reason: "not_a_task", detail: pointer.detail, id: decoded.id };
  }
}
