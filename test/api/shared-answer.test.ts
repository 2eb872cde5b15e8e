import { expect, test } from "vitest";
import { sharedAnswer } from "../../runtime/api/shared-answer.ts";
import { systemClock } from "../../runtime/clock.ts";

function asking(freshMs: number) {
  let nowMs = 0;
  const asked: number[] = [];
  const answers: PromiseWithResolvers<number>[] = [];
  const clock = { ...systemClock, nowMs: () => nowMs };
  const ask = sharedAnswer(
    () => {
      const answer = Promise.withResolvers<number>();
      answers.push(answer);
      asked.push(nowMs);
      return answer.promise;
    },
    freshMs,
    clock,
  );
  return { ask, asked, answers, at: (ms: number) => (nowMs = ms) };
}

test("asks once for all who ask at one time", async () => {
  const { ask, asked, answers } = asking(1_000);
  const all = [...Array(100).keys()].map(() => ask());
  answers[0]?.resolve(7);
  expect(new Set(await Promise.all(all))).toEqual(new Set([7]));
  expect(asked).toEqual([0]);
});

test("asks again when the answer is old, counted from when it was asked", async () => {
  const { ask, asked, at } = asking(1_000);
  void ask();
  at(999);
  void ask();
  at(1_000);
  void ask();
  at(1_999);
  void ask();
  expect(asked).toEqual([0, 1_000]);
});

test("shares a failure as well, and does not keep it", async () => {
  const { ask, asked, answers, at } = asking(1_000);
  const both = [ask(), ask()];
  answers[0]?.reject(new Error("away"));
  for (const each of both) await expect(each).rejects.toThrow("away");
  at(1_000);
  const again = ask();
  answers[1]?.resolve(1);
  expect(await again).toBe(1);
  expect(asked).toHaveLength(2);
});
