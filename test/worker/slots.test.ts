import { describe, expect, test } from "vitest";
import { createSlots } from "../../runtime/worker/slots.ts";
import { until } from "../support/until.ts";
import { createGate } from "./rig.ts";

/** Whether a promise has settled once everything that could settle it has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return settled;
}

const never = () => false;

/** Slots, all taken, and who waits for one in this order. */
function waitingFor(names: readonly string[], total = 1) {
  const slots = createSlots(total);
  slots.take(total);
  const order: string[] = [];
  const wait = (name: string) => void slots.available(never).then(() => order.push(name));
  for (const name of names) wait(name);
  return { slots, order, wait };
}

/** Everybody who was woken has said so. */
async function untilTold(): Promise<void> {
  await isSettled(new Promise(() => {}));
}

test("gives out as many slots as are free, and none twice", () => {
  const slots = createSlots(3);
  expect([slots.take(2), slots.free]).toEqual([2, 1]);
  expect([slots.take(5), slots.free]).toEqual([1, 0]);
  expect([slots.take(1), slots.free]).toEqual([0, 0]);
  slots.release();
  expect([slots.take(9), slots.free, slots.total]).toEqual([1, 0, 3]);
});

describe("available", () => {
  test("resolves at once while a slot is free", async () => {
    expect(await isSettled(createSlots(1).available(never))).toBe(true);
  });

  test("resolves when a slot is released, and not before", async () => {
    const slots = createSlots(1);
    slots.take(1);
    const available = slots.available(never);
    expect(await isSettled(available)).toBe(false);
    slots.release();
    expect(await isSettled(available)).toBe(true);
  });

  test("goes on waiting when somebody else took the slot that was released", async () => {
    const slots = createSlots(1);
    slots.take(1);
    const available = slots.available(never);
    slots.release();
    slots.take(1);
    expect(await isSettled(available)).toBe(false);
    slots.release();
    expect(await isSettled(available)).toBe(true);
  });

  test("ends without a slot when nobody wants one any more and it is told to look", async () => {
    const slots = createSlots(1);
    slots.take(1);
    let stopped = false;
    const available = slots.available(() => stopped);
    stopped = true;
    expect(await isSettled(available)).toBe(false);
    slots.wake();
    expect(await isSettled(available)).toBe(true);
    expect(slots.free).toBe(0);
  });

  test("is given to one at a time, the one who waited longest first", async () => {
    const { slots, order } = waitingFor(["first", "second", "third"]);
    slots.release();
    await untilTold();
    expect(order).toEqual(["first"]);
    expect(slots.take(1)).toBe(1);
    slots.release();
    await untilTold();
    expect(order).toEqual(["first", "second"]);
  });

  test("goes round: who took a slot and waits again is behind everybody else", async () => {
    const { slots, order, wait } = waitingFor(["a", "b"]);
    for (let nth = 0; nth < 5; nth++) {
      slots.release();
      await untilTold();
      expect([order.length, slots.take(1)]).toEqual([nth + 1, 1]);
      wait(order.at(-1) ?? "");
    }
    expect(order).toEqual(["a", "b", "a", "b", "a"]);
  });

  test("is for as many as slots are released", async () => {
    const { slots, order } = waitingFor(["first", "second", "third"], 3);
    slots.release();
    slots.release();
    await untilTold();
    expect(order).toEqual(["first", "second"]);
  });

  test("is passed on while whoever was woken takes nothing", async () => {
    const { slots, order } = waitingFor(["first", "second", "third"]);
    slots.release();
    await until(() => order.length === 3, { deadlineMs: 2_000 });
    expect(order).toEqual(["first", "second", "third"]);
  });

  test("is not passed on once the slot is taken", async () => {
    const { slots, order } = waitingFor(["first", "second"]);
    slots.release();
    await untilTold();
    slots.take(1);
    // One that was offered on later than this one would have been.
    const other = waitingFor(["first", "second"]);
    other.slots.release();
    await until(() => other.order.length === 2);
    expect(order).toEqual(["first"]);
  });

  test("keeps its place for somebody who was woken too late", async () => {
    const { slots, order } = waitingFor(["first", "second"]);
    slots.release();
    slots.take(1);
    await untilTold();
    expect(order).toEqual([]);
    slots.release();
    await untilTold();
    expect(order).toEqual(["first"]);
  });

  test("is not lost with somebody who wants none any more", async () => {
    const slots = createSlots(1);
    slots.take(1);
    let stopped = false;
    const gone = slots.available(() => stopped);
    const next = slots.available(never);
    stopped = true;
    slots.wake();
    expect([await isSettled(gone), await isSettled(next)]).toEqual([true, false]);
    slots.release();
    expect(await isSettled(next)).toBe(true);
  });
});

describe("a leaked slot", () => {
  test("stays taken until the handler ends after all", async () => {
    const slots = createSlots(2);
    slots.take(1);
    const handler = createGate();
    slots.leak(handler.opened);
    expect([slots.leaked, slots.free]).toEqual([1, 1]);
    handler.open();
    expect(await isSettled(handler.opened)).toBe(true);
    expect([slots.leaked, slots.free]).toEqual([0, 2]);
  });

  test("is given to those who wait as soon as it is back", async () => {
    const slots = createSlots(1);
    slots.take(1);
    const handler = createGate();
    slots.leak(handler.opened);
    const available = slots.available(never);
    expect(await isSettled(available)).toBe(false);
    handler.open();
    expect(await isSettled(available)).toBe(true);
    expect(slots.take(1)).toBe(1);
  });
});

describe("shares of the room", () => {
  test("get slots by their weight while both want more than there are", async () => {
    const slots = createSlots(1);
    const heavy = slots.share({ weight: 3, maxSlots: null });
    const light = slots.share({ weight: 1, maxSlots: null });
    slots.take(1);
    const order: string[] = [];
    const wait = (name: string, share: typeof heavy) => void share.available(never).then(() => order.push(name));
    wait("heavy", heavy);
    wait("light", light);
    slots.release();
    for (let nth = 0; nth < 40; nth++) {
      await until(() => order.length > nth);
      const name = order[nth];
      const share = name === "heavy" ? heavy : light;
      expect(share.take(1)).toBe(1);
      wait(name ?? "", share);
      share.release();
    }
    expect(order.slice(0, 40).filter((name) => name === "heavy")).toHaveLength(30);
  });

  test("never take more than their own most, and leave the rest to others", async () => {
    const slots = createSlots(5);
    const bounded = slots.share({ weight: 1, maxSlots: 2 });
    const other = slots.share({ weight: 1, maxSlots: null });
    expect([bounded.free, bounded.take(5), bounded.free]).toEqual([2, 2, 0]);
    expect([other.take(9), slots.free]).toEqual([3, 0]);
    other.release();
    expect([bounded.take(1), other.free]).toEqual([0, 1]);
    bounded.release();
    expect(bounded.take(1)).toBe(1);
  });

  test("a share that is full waits for its own slots, and holds up nobody else meanwhile", async () => {
    const slots = createSlots(2);
    const bounded = slots.share({ weight: 1, maxSlots: 1 });
    const other = slots.share({ weight: 1, maxSlots: null });
    bounded.take(1);
    other.take(1);
    const forBounded = bounded.available(never);
    const forOther = other.available(never);
    other.release();
    expect([await isSettled(forBounded), await isSettled(forOther)]).toEqual([false, true]);
    other.take(1);
    bounded.release();
    expect(await isSettled(forBounded)).toBe(true);
  });

  test("one that comes back from a rest does not catch up on it", async () => {
    const slots = createSlots(1);
    const busy = slots.share({ weight: 1, maxSlots: null });
    const resting = slots.share({ weight: 1, maxSlots: null });
    const serve = async (share: typeof busy) => {
      await share.available(never);
      share.take(1);
    };
    for (let nth = 0; nth < 10; nth++) {
      await serve(busy);
      const again = busy.available(never);
      busy.release();
      await again;
    }
    await serve(busy);
    const order: string[] = [];
    const wait = (name: string, share: typeof busy) => void share.available(never).then(() => order.push(name));
    wait("busy", busy);
    wait("resting", resting);
    busy.release();
    for (let nth = 0; nth < 6; nth++) {
      await until(() => order.length > nth);
      const name = order[nth];
      const share = name === "busy" ? busy : resting;
      share.take(1);
      wait(name ?? "", share);
      share.release();
    }
    expect(order.slice(0, 6).filter((name) => name === "resting").length).toBeLessThanOrEqual(4);
  });
});
