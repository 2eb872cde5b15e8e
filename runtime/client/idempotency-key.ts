/** Keys by which the API knows a repeated request. */
import { TaskiqError } from "../errors.ts";

const KEY = /^[\x21-\x7e]{1,255}$/;

/** A key that nobody else has: 128 random bits. Not `randomUUID`, which browsers have on https and localhost only. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The same key. Throws TaskiqError `request_invalid` unless it has 1 to 255 visible ASCII characters. */
export function checkedKey(key: string): string {
  if (KEY.test(key)) return key;
  throw new TaskiqError(
    "request_invalid",
    `expected an idempotency key of 1 to 255 visible ASCII characters, got ${JSON.stringify(key.slice(0, 255))}.`,
  );
}
