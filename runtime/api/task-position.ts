/**
 * A place in the list of tasks: a time and an id, newest first. A cursor is such a place, so a page goes on where the one before it
 * ended, whatever has been submitted meanwhile. The time is that of a UUIDv7 id, which is in its first 48 bits, else `created_at`.
 */
export type Position = {
  /** Microseconds since 1970. */
  readonly atUs: number;
  readonly id: string;
};

/** Ids from `fromId` on, below `belowId`. */
export type IdRange = { readonly fromId: string; readonly belowId: string };

const CURSOR = /^[A-Za-z0-9_-]{32}$/;
/** How much earlier or later than its row an id may be made: a large input is stored in between, and clocks differ. */
const SLACK_MS = 600_000;
/** An id from further in the future was not made by a clock. */
const FUTURE_MS = 86_400_000;
const MAX_MS = 2 ** 48 - 1;

export function encodeCursor({ atUs, id }: Position): string {
  const bytes = Buffer.alloc(24);
  bytes.writeBigUInt64BE(BigInt(atUs));
  bytes.write(id.replaceAll("-", ""), 8, "hex");
  return bytes.toString("base64url");
}

/** Undefined for a text that `encodeCursor` cannot have made. */
export function decodeCursor(text: string): Position | undefined {
  if (!CURSOR.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64url");
  const atUs = bytes.readBigUInt64BE();
  if (atUs > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return { atUs: Number(atUs), id: hyphenated(bytes.toString("hex", 8)) };
}

/** The UUIDv7 ids of tasks created from `after` on and before `before`, below a position. */
export function idRangeOf(
  {
    after,
    before,
    position,
  }: { readonly after: Date | null; readonly before: Date | null; readonly position: Position | null },
  nowMs: number,
): IdRange {
  const fromMs = after === null ? 0 : Number(after) - SLACK_MS;
  const belowMs = Math.min(nowMs + FUTURE_MS, before === null ? Number.POSITIVE_INFINITY : Number(before) + SLACK_MS);
  const belowId = firstIdOf(belowMs);
  const placeId = position === null ? belowId : idBelow(position);
  return { fromId: firstIdOf(fromMs), belowId: placeId < belowId ? placeId : belowId };
}

/** The id below which all UUIDv7 ids stand after the position, and no other. */
function idBelow({ atUs, id }: Position): string {
  const ms = Math.floor(atUs / 1_000);
  const [first, next] = [firstIdOf(ms), firstIdOf(ms + 1)];
  // Ids know milliseconds only: one of this very millisecond comes after a position that is later within it.
  if (atUs % 1_000 > 0 || id > next) return next;
  return id < first ? first : id;
}

function firstIdOf(ms: number): string {
  const bounded = Math.min(Math.max(Math.floor(ms), 0), MAX_MS);
  return hyphenated(bounded.toString(16).padStart(12, "0").padEnd(32, "0"));
}

function hyphenated(hex: string): string {
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
