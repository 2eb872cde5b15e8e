/**
 * The text of an API key: `tq_<environment>_<id>_<secret><checksum>`. The environment tells people which deployment it opens; the id finds its
 * row; the secret has 256 random bits, so a fast hash is right; the checksum lets scanners, and this API, tell a key from a look-alike
 * without asking a database.
 */
import { createHash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

export type ParsedKey = { readonly environment: string; readonly id: string };

export type NewKey = ParsedKey & {
  /** To be shown once, and never to be stored or logged. */
  readonly text: string;
  /** SHA-256 of the text. */
  readonly hash: Buffer;
};

export const KEY_ID = /^[a-z2-9]{12}$/;
export const KEY_ENVIRONMENT = /^[a-z0-9-]{1,20}$/;

const KEY = /^tq_([a-z0-9-]{1,20})_([a-z2-9]{12})_[A-Za-z0-9_-]{43}([0-9A-Za-z]{6})$/;
/** 32 letters and digits that nobody takes for one another. */
const ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
const ID_CHARS = 12;
const SECRET_BYTES = 32;
const CHECKSUM_CHARS = 6;
const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** @param environment up to 20 lower-case letters, digits and hyphens */
export function makeKey(environment: string): NewKey {
  // 256 is a multiple of 32, so every letter is as likely.
  const id = [...randomBytes(ID_CHARS)].map((byte) => ID_LETTERS[byte % ID_LETTERS.length]).join("");
  const text = withChecksum(`tq_${environment}_${id}_${randomBytes(SECRET_BYTES).toString("base64url")}`);
  return { environment, id, text, hash: hashKey(text) };
}

/** Undefined for what is no key, or has a slip of the pen. */
export function parseKey(text: string): ParsedKey | undefined {
  const [, environment, id, sum] = KEY.exec(text) ?? [];
  if (environment === undefined || id === undefined) return undefined;
  return checksum(text.slice(0, -CHECKSUM_CHARS)) === sum ? { environment, id } : undefined;
}

export function hashKey(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** A key's text, out of all of it but the checksum. */
export function withChecksum(body: string): string {
  return body + checksum(body);
}

/** CRC-32 in base 62, as long as the largest one. */
function checksum(text: string): string {
  let rest = crc32(text);
  let sum = "";
  for (let digit = 0; digit < CHECKSUM_CHARS; digit++) {
    sum = `${BASE62[rest % 62]}${sum}`;
    rest = Math.floor(rest / 62);
  }
  return sum;
}
