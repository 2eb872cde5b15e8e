/** Keys by which the API knows a repeated request. */
import { TaskiqError } from "../errors.ts";

const KEY = /^[\x21-\x7e]{1,255}$/;

/** The same key. Throws TaskiqError `request_invalid` unless it has 1 to 255 visible ASCII characters. */
export function checkedKey(key: string): string {
  if (KEY.test(key)) return key;
  throw new TaskiqError(
    "request_invalid",
    `expected an idempotency key of 1 to 255 visible ASCII characters, got ${JSON.stringify(key.slice(0, 255))}.`,
  );
}
