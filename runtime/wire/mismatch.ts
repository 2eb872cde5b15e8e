/**
 * What was expected and what came, for text that somebody else wrote. The sentence ends in logs and in attributes of
 * dead-letter messages, so it is short, printable ASCII, and shows no more of the value than needed to find it.
 */

/** Characters of a detail, at most. */
export const MAX_DETAIL_LENGTH = 200;
const MAX_SHOWN = 40;
const MAX_NAME = 40;

/** `task_id: expected a string, got 5`. The value is what `JSON.parse` gave; undefined means the member is missing. */
export function mismatch(where: string, expected: string, got: unknown): string {
  return detail(`${cut(where, MAX_NAME)}: expected ${expected}, got ${shown(got)}`);
}

/** Any sentence as printable ASCII within the bound. */
export function detail(sentence: string): string {
  return cut(printable(sentence.slice(0, MAX_DETAIL_LENGTH + 1)), MAX_DETAIL_LENGTH);
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return cut(JSON.stringify(value.slice(0, MAX_SHOWN + 1)), MAX_SHOWN);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" && value !== null ? "an object" : cut(String(value), MAX_SHOWN);
}

function cut(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 3)}...`;
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
