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

  test("lets everybody who waits have a look when a slot is released, the one who waited longest first", async () => {
    const slots = createSlots(2);
    slots.take(2);
    const order: string[] = [];
    for (const name of ["first", "second", "third"]) void slots.available(never).then(() => order.push(name));
    slots.release();
    await until(() => order.length === 3);
    expect(order).toEqual(["first", "second", "third"]);
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
