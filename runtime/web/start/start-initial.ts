/** The input that an address brings along, such as that of a run which is to be started once more. */

/** Undefined: none, or nothing that JSON is. */
export function initialOf(text: string | null): unknown {
  if (text === null) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
