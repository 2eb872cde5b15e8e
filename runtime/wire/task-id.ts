/**
 * The two names of a task: the id a TaskIQ producer chose (any text) and the uuid of its row.
 *
 * Thirty-two lower-case hex digits, TaskIQ's default, *are* the uuid; everything else, the dashed spelling of a uuid
 * included, is hashed. So the mapping never joins two wire ids, and from the row the wire id can always be had back:
 * a foreign producer looks for its result under exactly the text it chose.
 */
import { v5 as uuidv5 } from "uuid";

/** UUIDv5 of `wire.taskiq-aws` in the DNS namespace. Changing it would give every foreign task a second identity. */
export const WIRE_ID_NAMESPACE = "a2959100-1b9e-56f5-b579-4e5a08b46103";

const HEX_ID = /^[0-9a-f]{32}$/;

/**
 * The row id of a wire id, and what to keep in the column `wire_id`: null where the wire id follows from the uuid.
 *
 * Other ids map to UUIDv5(WIRE_ID_NAMESPACE, UTF-8 of the id), as `uuid.uuid5` in Python gives it. A lone surrogate,
 * which UTF-8 cannot hold, is hashed as its three generalised UTF-8 bytes (Python: `surrogatepass`), so that ids that
 * differ only there stay different. `wireId` is text a Postgres column can hold: U+0000, lone surrogates and the
 * backslash are escaped in it, and `wireIdOf` undoes that.
 */
export function taskIdOf(wire: string): { id: string; wireId: string | null } {
  if (HEX_ID.test(wire)) return { id: dashed(wire), wireId: null };
  return { id: uuidv5(generalisedUtf8(wire), WIRE_ID_NAMESPACE), wireId: storable(wire) };
}

/** The wire id of a row: the inverse of `taskIdOf`. `id` is a lower-case dashed uuid, as Postgres prints it. */
export function wireIdOf(id: string, wireId: string | null): string {
  return wireId === null ? id.replaceAll("-", "") : original(wireId);
}

function dashed(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function generalisedUtf8(text: string): Uint8Array {
  if (text.isWellFormed()) return Buffer.from(text, "utf8");
  const parts: Buffer[] = [];
  // The capture keeps each lone surrogate between the well-formed pieces.
  for (const piece of text.split(/(\p{Surrogate})/u)) {
    parts.push(piece.isWellFormed() ? Buffer.from(piece, "utf8") : surrogateBytes(piece.charCodeAt(0)));
  }
  return Buffer.concat(parts);
}

function surrogateBytes(unit: number): Buffer {
  return Buffer.from([0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)]);
}

function storable(wire: string): string {
  return wire.replace(/[\\\0\p{Surrogate}]/gu, (character) =>
    character === "\\" ? "\\\\" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function original(stored: string): string {
  return stored.replace(/\\(?:\\|u([0-9a-f]{4}))/g, (_match, hex?: string) =>
    hex === undefined ? "\\" : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
