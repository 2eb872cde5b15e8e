/** What a redrive did, in words. */
import { expect, test } from "vitest";
import type { RedriveReport } from "../../../runtime/client/queues.ts";
import { doneText, handled, leftText } from "../../../runtime/web/queues/redrive-text.ts";

const NOTHING: RedriveReport = {
  redriven: 0,
  rung: 0,
  deleted: 0,
  discarded: 0,
  poison: 0,
  failedAgain: 0,
  others: 0,
  tasks: [],
  beganAt: "",
  done: true,
};

test("nothing done says so", () => {
  expect(doneText(NOTHING)).toBe("Nothing was there to be redriven");
  expect(leftText(NOTHING)).toBe("");
});

test("each kind of message is told apart", () => {
  const report = { ...NOTHING, redriven: 2, rung: 1, deleted: 3, discarded: 4 };
  expect(doneText(report)).toBe(
    "2 tasks queued again, 1 doorbell rung again, 3 messages deleted, whose task has an end, 4 messages discarded",
  );
  expect(handled(report)).toBe(10);
});

test("what stays there is told with its reason, and that there is more", () => {
  expect(leftText({ ...NOTHING, poison: 1, failedAgain: 2, others: 2, done: false })).toBe(
    "1 message stays: no task can come of it. 2 tasks failed again meanwhile. 2 messages belong to other queues or tenants. " +
      "There is more than could be looked at in five seconds.",
  );
});
