/**
 * How a list of entries becomes batch requests. SQS takes at most ten entries and 1 MiB in one request, refuses the
 * whole of a request that is larger, and answers 200 with a list of the entries that failed: an entry counts as
 * done only when it is not on that list.
 */
import type { Clock } from "../clock.ts";
import { MAX_BATCH_ENTRIES, MAX_MESSAGE_BYTES } from "./limits.ts";

export type EntryFault = { readonly code: string; readonly message: string; readonly senderFault: boolean };

/** What a batch operation of the SDK answers; ids are the positions of the entries in the request. */
export type BatchAnswer = {
  readonly Successful?: readonly { readonly Id: string | undefined }[] | undefined;
  readonly Failed?:
    | readonly {
        readonly Id: string | undefined;
        readonly Code: string | undefined;
        readonly Message?: string | undefined;
        readonly SenderFault: boolean | undefined;
      }[]
    | undefined;
};

export type Settling = {
  /** How often an entry is tried that failed without a fault of the sender. */
  readonly attempts: number;
  readonly clock: Clock;
};

/** Before the second try up to 100 ms, before the third up to 200 ms, at random. */
const RETRY_PAUSE_MS = 100;

/**
 * Makes one batch request, and again for the entries that failed on the service's side. Returns a fault or null for
 * each entry, in order; never throws. `request` has its own retries, so what it throws is final for all its entries.
 */
export async function settleBatch<Entry>(
  entries: readonly Entry[],
  request: (entries: readonly Entry[]) => Promise<BatchAnswer>,
  { attempts, clock }: Settling,
): Promise<(EntryFault | null)[]> {
  const faults: (EntryFault | null)[] = entries.map(() => null);
  let pending = entries.map((_, index) => index);
  for (let attempt = 1; pending.length > 0; attempt++) {
    const sent = pending;
    const answered = await answerOf(
      sent.map((index) => entries[index]!),
      request,
    );
    for (const [position, index] of sent.entries()) faults[index] = answered.faults[position] ?? null;
    if (answered.isFinal || attempt === attempts) break;
    pending = sent.filter((index) => faults[index]?.senderFault === false);
    if (pending.length > 0) await clock.after(Math.random() * RETRY_PAUSE_MS * attempt);
  }
  return faults;
}

async function answerOf<Entry>(
  entries: readonly Entry[],
  request: (entries: readonly Entry[]) => Promise<BatchAnswer>,
): Promise<{ faults: (EntryFault | null)[]; isFinal: boolean }> {
  try {
    const answer = await request(entries);
    const faults: (EntryFault | null)[] = entries.map(() => UNANSWERED);
    for (const entry of answer.Successful ?? []) faults[Number(entry.Id)] = null;
    for (const entry of answer.Failed ?? []) {
      faults[Number(entry.Id)] = {
        code: entry.Code ?? "Unknown",
        message: entry.Message ?? "no reason given",
        senderFault: entry.SenderFault ?? false,
      };
    }
    return { faults, isFinal: false };
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    // A refusal of the whole request (no such queue, no access) says nothing about the messages in it.
    const fault = { code: codeOf(error), message: error.message, senderFault: false };
    return { faults: entries.map(() => fault), isFinal: true };
  }
}

const UNANSWERED: EntryFault = {
  code: "unanswered",
  message: "the answer to the batch does not mention this entry",
  senderFault: false,
};

/** The service's code (it is the error's name), else the system's. */
export function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

/** Splits by number and size, keeping the order. Each message must fit alone. */
export function packBatches<Entry extends { readonly bytes: number }>(entries: readonly Entry[]): Entry[][] {
  const batches: Entry[][] = [];
  let room = 0;
  for (const entry of entries) {
    const batch = batches.at(-1);
    if (batch === undefined || batch.length === MAX_BATCH_ENTRIES || entry.bytes > room) {
      batches.push([entry]);
      room = MAX_MESSAGE_BYTES - entry.bytes;
    } else {
      batch.push(entry);
      room -= entry.bytes;
    }
  }
  return batches;
}

/** Runs `work` over all items, at most `width` at a time, starting them in order. `work` must not throw. */
export async function inParallel<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  const lane = async (): Promise<void> => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
}
