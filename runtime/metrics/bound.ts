/** Keeps the values of a label few, where they come from somewhere else: a service may name its errors as it likes. */

const MOST_VALUES = 40;

/** The value, or `other` for one that is no plain word or comes after too many different ones. */
export function createBound(): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= MOST_VALUES || !/^[\w.-]{1,60}$/.test(value)) return "other";
    known.add(value);
    return value;
  };
}
