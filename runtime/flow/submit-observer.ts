/** Who is told of tasks that were written: in the hot path, so each of these returns at once and never throws. */

export type SubmitObserver = {
  /** A task or a step came to be. */
  enqueued(queue: string, task: string): void;
  /** An input was written. */
  inputStored(bytes: number): void;
};
