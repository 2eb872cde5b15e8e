/** Record the end of steps, and take on those that the same statement has claimed for the slots that become free. */

import type { ClaimedTask } from "../flow/claim.ts";
import { type AttemptRef, keyOf } from "../flow/complete.ts";
import { completeSteps, type Offer, type StepSuccess, type StepsCompleted } from "../flow/complete-steps.ts";
import { leaveLimits, type Ring } from "../flow/limits.ts";
import { runsOf } from "../flow/lock-runs.ts";
import { isConnectionError, type Transactional } from "../postgres/pool.ts";
import type { Writer, Writers } from "./until-recorded.ts";

export type StepItem = StepSuccess & {
  /** The attempt holds room at limit keys. */
  readonly limited: boolean;
  /** Where its slot may go on with another step; null: nowhere. */
  readonly queue: string | null;
};

export type StepRecorder = {
  readonly write: Writer<StepItem>;
  /** The step that was claimed for the slot of this attempt, which has ended; null: none. Asked once. */
  takeNext(attempt: AttemptRef): ClaimedTask | null;
};

export type StepRecorderParts = {
  readonly database: Transactional;
  readonly ring: Ring;
  /** Sends the doorbells of steps that were readied. */
  readonly announce: Ring;
  /** For steps that this worker goes on with. */
  readonly offer: Omit<Offer, "queues">;
  /** Steps may have been claimed with an outcome whose answer was lost. */
  readonly giveBackUnseen: () => void;
};

const NOTHING: readonly (readonly [StepItem, boolean | undefined])[] = [];

export function createStepRecorder(parts: StepRecorderParts, { batched }: Pick<Writers, "batched">): StepRecorder {
  const continued = new Map<string, ClaimedTask>();
  const write = batched<StepItem>(
    async (items, retried) => {
      const offer = retried ? null : { ...parts.offer, queues: items.flatMap(({ queue }) => queue ?? []) };
      const [free, held] = [items.filter(({ limited }) => !limited), items.filter(({ limited }) => limited)];
      try {
        // What the one has committed is taken on whatever becomes of the other.
        const [plain, apart] = await Promise.all([
          free.length === 0 ? NOTHING : completeSteps(parts.database, free, offer).then((done) => taken(free, done)),
          held.length === 0 ? NOTHING : leaveAsSteps(held).then((done) => taken(held, done)),
        ]);
        const recorded = new Map([...plain, ...apart]);
        return items.map((item) => (recorded.get(item) !== true ? "refused" : item.skipped ? "skipped" : "succeeded"));
      } catch (error) {
        if (isConnectionError(error)) parts.giveBackUnseen();
        throw error;
      }
    },
    // Whoever waits for company makes the steps after it wait as well. A second statement would wait for the first one's runs: one with the steps of
    // both costs a third less.
    { lingerMs: 0, maxInFlight: 1 },
  );

  function taken(items: readonly StepItem[], done: StepsCompleted): (readonly [StepItem, boolean | undefined])[] {
    parts.announce(done.readied);
    goOn(items, done.continued);
    return items.map((item, index) => [item, done.recorded[index]]);
  }

  /** Keys are locked after runs and before rows. */
  async function leaveAsSteps(items: readonly StepItem[]): Promise<StepsCompleted> {
    return await leaveLimits(
      parts.database,
      items.map(({ id }) => id),
      runsOf(items),
      async (tx) => {
        const result = await completeSteps(tx, items, null);
        return { result, left: items.filter((_, index) => result.recorded[index]).map(({ id }) => id) };
      },
      parts.ring,
    );
  }

  /** Each step that was claimed goes to the slot of one that made room on its queue. */
  function goOn(items: readonly StepItem[], tasks: readonly ClaimedTask[]): void {
    const rooms = [...items];
    for (const task of tasks) {
      const place = rooms.findIndex(({ queue }) => queue === task.queue);
      const [room] = place < 0 ? [] : rooms.splice(place, 1);
      if (room === undefined) throw new RangeError(`expected room for step ${task.id} on queue ${task.queue}`);
      continued.set(keyOf(room), task);
    }
  }

  return {
    write,
    takeNext(attempt) {
      const next = continued.get(keyOf(attempt)) ?? null;
      continued.delete(keyOf(attempt));
      return next;
    },
  };
}
