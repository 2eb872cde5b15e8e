/** Who is told what a worker does: in the hot path, so each of these returns at once and never throws. */

import type { SavedResult } from "../define/middleware.ts";

export type WorkerObserver = {
  /** The worker polls. How it is can be asked from now on. */
  started(look: () => WorkerState): void;
  /** An attempt starts. */
  attemptStarted(): void;
  /** What the database made of an attempt. Not called for one whose outcome could not be written. */
  attemptEnded(kind: SavedResult["kind"], recorded: SavedResult["recorded"]): void;
  /** Nothing runs any more. */
  stopped(): void;
};

export type WorkerState = {
  readonly running: number;
  readonly slots: number;
  readonly leakedSlots: number;
  readonly draining: boolean;
};
