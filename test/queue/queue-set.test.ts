import { describe, expect, it } from "vitest";
import type { Queue } from "../../runtime/queue/queue.ts";
import { createQueueSet } from "../../runtime/queue/queue-set.ts";

describe("a queue set", () => {
  it("finds queues and their dead-letter queues by configured name", () => {
    const [one, two, dead] = [queue("one"), queue("two"), queue("one-dlq")];
    const set = createQueueSet([
      { queue: one, deadLetter: dead },
      { queue: two, deadLetter: null },
    ]);
    expect(set.names).toEqual(["one", "two"]);
    expect(set.get("one")).toBe(one);
    expect(set.get("three")).toBeUndefined();
    expect(set.deadLetter("one")).toBe(dead);
  });

  it("names the queues that have a dead-letter queue when one without is asked for", () => {
    const set = createQueueSet([
      { queue: queue("one"), deadLetter: queue("one-dlq") },
      { queue: queue("two"), deadLetter: null },
    ]);
    expect(() => set.deadLetter("two")).toThrow(expect.objectContaining({ code: "unknown_queue" }));
    expect(() => set.deadLetter("two")).toThrow(/\(one\), got "two"/);
    expect(() => set.deadLetter("__proto__")).toThrow(/got "__proto__"/);
  });

  it("refuses two queues of one name", () => {
    const members = [queue("one"), queue("one")].map((each) => ({ queue: each, deadLetter: null }));
    expect(() => createQueueSet(members)).toThrow(expect.objectContaining({ code: "config_invalid" }));
  });
});

function queue(name: string): Queue {
  const unused = async (): Promise<never> => {
    throw new Error("not called here");
  };
  return {
    name,
    url: `http://localhost/${name}`,
    receive: unused,
    send: unused,
    remove: unused,
    changeVisibility: unused,
    depth: unused,
  };
}
