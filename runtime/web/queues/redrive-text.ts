/** What a redrive did, or would do, in words. Pure. */
import type { RedriveReport } from "../../client/index.ts";
import { countedNoun } from "../components/number-text.ts";

/** `3 tasks queued again, 1 message deleted`. */
export function doneText({ redriven, rung, deleted, discarded }: RedriveReport): string {
  const parts = [
    redriven > 0 ? `${countedNoun(redriven, "task")} queued again` : "",
    rung > 0 ? `${countedNoun(rung, "doorbell")} rung again` : "",
    deleted > 0 ? `${countedNoun(deleted, "message")} deleted, whose task has an end` : "",
    discarded > 0 ? `${countedNoun(discarded, "message")} discarded` : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "Nothing was there to be redriven" : parts.join(", ");
}

/** What stays in the queue, and why; "" where nothing does. */
export function leftText({ poison, failedAgain, others, done }: RedriveReport): string {
  const parts = [
    poison > 0 ? `${countedNoun(poison, "message stays", "messages stay")}: no task can come of it.` : "",
    failedAgain > 0 ? `${countedNoun(failedAgain, "task")} failed again meanwhile.` : "",
    others > 0 ? `${countedNoun(others, "message belongs", "messages belong")} to other queues or tenants.` : "",
    done ? "" : "There is more than could be looked at in five seconds.",
  ].filter((part) => part !== "");
  return parts.join(" ");
}

/** How much was done so far. */
export function handled({ redriven, rung, deleted, discarded }: RedriveReport): number {
  return redriven + rung + deleted + discarded;
}
