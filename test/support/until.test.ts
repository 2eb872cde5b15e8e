import { expect, test } from "vitest";
import { until } from "./until.ts";

test("returns the first answer that is not falsy", async () => {
  const answers = [undefined, 0, "", "found", "later"];
  expect(await until(() => answers.shift())).toBe("found");
});

test("waits for a condition that throws at first", async () => {
  let asked = 0;
  const condition = async () => {
    asked++;
    if (asked < 3) throw new Error("not yet");
    return true;
  };
  await until(condition);
  expect(asked).toBe(3);
});

test("says what was awaited and what the last answer was", async () => {
  const waiting = until(() => 0, { deadlineMs: 20, what: "rows" });
  await expect(waiting).rejects.toThrow("waited 20 ms for rows; last: 0");
});

test("says which error the condition threw last", async () => {
  const refused = new Error("connection refused");
  const waiting = until(() => Promise.reject(refused), { deadlineMs: 20, what: "rows" });
  await expect(waiting).rejects.toMatchObject({
    message: "waited 20 ms for rows; last: an error, connection refused",
    cause: refused,
  });
});

test("a condition that never answers fails at the deadline", async () => {
  const never = new Promise<boolean>(() => {});
  await expect(until(() => never, { deadlineMs: 20, what: "an answer" })).rejects.toThrow("waited 20 ms for an answer");
});
