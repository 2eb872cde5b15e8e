import fc from "fast-check";
import { expect, test } from "vitest";
import { deadTaskAttributes, poisonAttributes } from "../../runtime/wire/dead-letter.ts";

const FAILED_AT = new Date("2026-01-02T03:04:05.678Z");
const TASK_ID = "0198f3c0-0000-7000-8000-000000000000";

test("a dead task says why, what, where, when and who", () => {
  const dead = { reason: "timeout", errorType: "TimeoutError", taskId: TASK_ID, task: "images.resize", queue: "media" };
  expect(deadTaskAttributes({ ...dead, attempt: 3, worker: "host-1", failedAt: FAILED_AT })).toEqual({
    reason: "timeout",
    error_type: "TimeoutError",
    task: "images.resize",
    task_id: TASK_ID,
    attempt: "3",
    source_queue: "media",
    worker: "host-1",
    failed_at: "2026-01-02T03:04:05.678Z",
  });
});

test("what is not known is left out: SQS refuses empty values", () => {
  const dead = { reason: "crash_loop", errorType: null, taskId: TASK_ID, task: "a", queue: "q", attempt: 1 };
  const attributes = deadTaskAttributes({ ...dead, worker: "", failedAt: null });
  expect(Object.keys(attributes)).toEqual(["reason", "task", "task_id", "attempt", "source_queue"]);
});

test("poison keeps its own attributes as far as there is room, first what makes its body a pointer", () => {
  const noise = Object.fromEntries(Array.from({ length: 9 }, (_, nth) => [`a${nth}`, "x"]));
  const original = { ...noise, ExtendedPayloadSize: "300000" };
  const poison = { reason: "unreadable", detail: "no JSON", queue: "q", messageId: "m", taskId: null };
  const attributes = poisonAttributes({ ...poison, failedAt: FAILED_AT, original });
  expect(attributes).toMatchObject({ reason: "unreadable", message_id: "m", ExtendedPayloadSize: "300000", a0: "x" });
  expect(Object.keys(attributes)).toHaveLength(10);
});

test("poison cannot say that its reason is another", () => {
  const original = { reason: "mine", source_queue: "mine" };
  const poison = { reason: "unreadable", detail: "no JSON", queue: "q", messageId: "m", taskId: TASK_ID, original };
  const attributes = poisonAttributes({ ...poison, failedAt: FAILED_AT });
  expect(attributes).toMatchObject({ reason: "unreadable", source_queue: "q", task_id: TASK_ID });
});

test("whatever the names are, there are at most ten values that SQS takes", () => {
  const text = fc.string({ unit: "binary", maxLength: 1_000 });
  const original = fc.dictionary(fc.stringMatching(/^[a-z_]{1,20}$/), fc.constant("x"), { maxKeys: 10 });
  fc.assert(
    fc.property(text, text, text, original, (reason, name, worker, own) => {
      const of = { reason, taskId: TASK_ID, queue: name, failedAt: FAILED_AT };
      for (const attributes of [
        deadTaskAttributes({ ...of, errorType: name, task: name, attempt: 1, worker }),
        poisonAttributes({ ...of, detail: worker, messageId: "m", original: own }),
      ]) {
        expect(Object.keys(attributes).length).toBeLessThanOrEqual(10);
        for (const value of Object.values(attributes)) expect(value).toMatch(/^[\x20-\x7e]{1,200}$/);
      }
    }),
  );
});
