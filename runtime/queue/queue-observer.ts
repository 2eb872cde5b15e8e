/** Who is told what an adapter met: each of these returns at once and never throws. */

export type QueueObserver = {
  /** A message was given up after all tries. */
  entryFailed(op: "send" | "delete" | "change_visibility", code: string, senderFault: boolean): void;
  /** A poll brought nothing. */
  receivedNothing(): void;
};
