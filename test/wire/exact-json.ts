/** JSON values in which `1`, `1.0` and `1e0` differ, and integers of any size are told apart: numbers are their text. */

// TypeScript does not yet know the third argument, which carries the source text of a number (ES2026).
const parseWithSource = JSON.parse as (
  text: string,
  revive: (name: string, value: unknown, context: { source?: string }) => unknown,
) => unknown;

/** Recursive: for recorded and generated values, not for hostile ones. */
export function exactJson(text: string): unknown {
  return parseWithSource(text, (_name, value, { source }) => (typeof value === "number" ? { number: source } : value));
}
