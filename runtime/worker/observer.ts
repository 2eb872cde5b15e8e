/** Who is told what a worker does: in the hot path, so each of these returns at once and never throws. */

import type { SavedResult } from "../define/middleware.ts";
import type { ClaimedTask, Verdict } from "../flow/claim.ts";
import type { GroupVerdict } from "../flow/claim-group.ts";

export type WorkerObserver = {
  /** The worker polls. How it is can be asked from now on. */
  started(look: () => WorkerState): void;
  /** What claims came to, other than attempts. */
  declined(verdicts: Iterable<Pick<Verdict | GroupVerdict, "kind">>): void;
  /** A claim was won: an attempt starts. */
  attemptStarted(task: ClaimedTask): void;
  /** What the database made of an attempt. Not called for one whose outcome could not be written. */
  attemptEnded(task: ClaimedTask, kind: SavedResult["kind"], recorded: SavedResult["recorded"]): void;
  /** Tasks came to be: so many elements of a mapped step. */
  expanded(task: ClaimedTask, elements: number): void;
  /** The size of a result, or of the input of an element. */
  payloadStored(kind: "input" | "result", bytes: number): void;
  /** The handler of an attempt was told that its task is cancelled. @param sinceMs from the request until now */
  cancelled(sinceMs: number): void;
  /** Such an attempt outlasted its grace time. */
  outlastedGrace(): void;
  /** Leases (`db`) or messages in flight (`sqs`) could not be renewed. */
  heartbeatFailed(target: "db" | "sqs"): void;
  /** A statement is tried again. */
  databaseRetried(error: unknown): void;
  /** A message that no task can come of was moved away. */
  poisoned(queue: string, reason: string): void;
  /** Nothing runs any more. */
  stopped(): void;
};

export type WorkerState = {
  readonly running: number;
  readonly slots: number;
  readonly leakedSlots: number;
  readonly draining: boolean;
  /** What runs. */
  readonly tasks: Iterable<Pick<ClaimedTask, "queue" | "name">>;
};
