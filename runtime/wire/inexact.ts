/**
 * Numbers that `JSON.parse` would change without a word: it rounds 2^53 + 1, turns 1e999 into Infinity and 1e-999 into 0. Whoever takes a value from
 * outside refuses them, by their path.
 */

export type InexactNumber = {
  /** Where it stands: names of members and indexes. */
  readonly path: readonly string[];
  /** As it was written, in at most 41 characters. */
  readonly text: string;
};

/** What TypeScript does not know of `JSON.parse` yet: revivers see the source of each number. */
type SourceReviver = (this: object, key: string, value: unknown, context: { readonly source?: string }) => unknown;

/**
 * A number of which a double might not hold everything: 16 digits before the point, an exponent of three, or a long row
 * of zeros after the point. Inside strings it finds some that are none; they cost a second look and nothing else.
 */
const SUSPICIOUS = /(?:^|[[:,\s])-?(?:\d{16}|\d+(?:\.0{200}|(?:\.\d+)?[eE][+-]?\d{3}))/;
const INTEGER = /^-?\d+$/;
const SHOWN_CHARS = 40;

/** One number of the text that would not come back as it is; null: there is none. `text` must be JSON of bounded depth. */
export function inexactNumber(text: string): InexactNumber | null {
  return SUSPICIOUS.test(text) ? search(text) : null;
}

function search(text: string): InexactNumber | null {
  // Inner values are revived first: a holder of a culprit becomes a culprit of its own holder, and so the path grows.
  const pathsOf = new Map<unknown, string[]>();
  let path: string[] | undefined;
  let culprit = "";
  const look: SourceReviver = function (key, value, { source }) {
    const below = typeof value === "number" ? (isLost(value, source ?? "") ? [] : undefined) : pathsOf.get(value);
    if (below === undefined) return value;
    if (typeof value === "number") culprit = source ?? "";
    path = [key, ...below];
    pathsOf.set(this, path);
    return value;
  };
  JSON.parse(text, look as (key: string, value: unknown) => unknown);
  if (path === undefined) return null;
  const shown = culprit.length > SHOWN_CHARS ? `${culprit.slice(0, SHOWN_CHARS)}…` : culprit;
  // The outermost holder is one that JSON.parse makes, with the key "".
  return { path: path.slice(1), text: shown };
}

/** Fractions are rounded by every reader; integers are taken for exact, so they must come back digit for digit. */
function isLost(value: number, source: string): boolean {
  if (!Number.isFinite(value)) return true;
  if (value === 0) return /^-?[0.]*[1-9]/.test(source);
  return INTEGER.test(source) && String(value) !== source;
}
