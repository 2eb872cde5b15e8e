/** The workers together. */
import { expect, test } from "vitest";
import type { Worker } from "../../../runtime/client/workers.ts";
import { sumOf } from "../../../runtime/web/workers/worker-sum.ts";

function worker(state: Worker["state"], slots: number, running: number, version = "1.0.0"): Worker {
  const at = new Date(0);
  return {
    name: state,
    version,
    revision: null,
    state,
    queues: [],
    slots,
    running,
    runningTasks: [],
    startedAt: at,
    beatAt: at,
  };
}

test("a lost worker counts as lost, and its slots do not", () => {
  const workers = [worker("alive", 5, 2), worker("draining", 5, 1, "0.9.0"), worker("lost", 50, 50, "0.1.0")];
  expect(sumOf(workers)).toEqual({
    alive: 1,
    draining: 1,
    lost: 1,
    slots: 10,
    running: 3,
    versions: ["0.9.0", "1.0.0"],
  });
});
