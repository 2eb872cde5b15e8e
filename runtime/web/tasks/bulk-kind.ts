/** What can be done with many tasks, and the words for it. */
import type { BulkOutcome } from "../../client/index.ts";
import type { TaskState } from "../../model/task.ts";
import { countedNoun } from "../components/number-text.ts";

export type BulkKind = "cancel" | "retry";

export type BulkWords = {
  readonly label: string;
  /** What it can be done with. */
  readonly states: readonly TaskState[];
  /** What it is done with where the filter says nothing. */
  readonly usual: readonly TaskState[];
  readonly noneChosen: string;
  readonly question: string;
  readonly effect: string;
  readonly done: (outcome: BulkOutcome) => string;
};

export const BULK: Readonly<Record<BulkKind, BulkWords>> = {
  cancel: {
    label: "Cancel all…",
    states: ["blocked", "queued", "running"],
    usual: ["blocked", "queued", "running"],
    noneChosen: "The filter shows finished tasks only: there is nothing to cancel.",
    question: "Cancel all tasks that match?",
    effect: "What waits is cancelled at once. What runs is told to stop, and ended after its grace time.",
    done: ({ changed, stopping }) =>
      `${countedNoun(changed, "task")} cancelled${stopping > 0 ? `, ${countedNoun(stopping, "more is", "more are")} being stopped` : ""}`,
  },
  retry: {
    label: "Retry all…",
    states: ["failed", "cancelled"],
    usual: ["failed"],
    noneChosen: "The filter shows no failed or cancelled tasks: there is nothing to retry.",
    question: "Run all tasks again that match?",
    effect: "Each is queued again with the same input and a new budget of attempts.",
    done: ({ changed }) => `${countedNoun(changed, "task")} queued again`,
  },
};
