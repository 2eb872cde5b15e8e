/**
 * Tells whose key a text is. Rows are kept for 30 s, so that a request costs no statement; that is also how long a key that was revoked
 * elsewhere may still be used here. Keys that expire do so to the moment. That an id has no row is believed for 5 s.
 */
import { timingSafeEqual } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { ErrorCode } from "../errors.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { hashKey, parseKey } from "./key.ts";
import type { Caller, Scope } from "./scope.ts";

export type Verdict =
  | { readonly kind: "known"; readonly caller: Caller }
  | { readonly kind: "refused"; readonly code: Extract<ErrorCode, "key_invalid" | "key_expired" | "key_revoked"> };

export type Verifier = {
  /** Throws what the database throws, where a row is not kept here. */
  verify(text: string): Promise<Verdict>;
  /** Makes this process forget a key's row at once: it was revoked here. */
  forget(id: string): void;
};

export type VerifierParts = { readonly database: Queryable; readonly clock: Clock };

type Row = {
  readonly id: string;
  readonly name: string;
  readonly hash: Buffer;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  readonly revoked: boolean;
  readonly expires_in_ms: number | null;
};

type Kept = {
  readonly row: Promise<Row | undefined>;
  /** Of this process's clock, when the row was asked for. */
  readonly readMs: number;
  /** Whether its use was noted since. */
  touched: boolean;
};

export const FRESH_MS = 30_000;
/** Shorter: somebody may try a key before its fingerprint is stored. */
export const UNKNOWN_FRESH_MS = 5_000;
/** Rows kept: more keys than one process meets in 30 s. */
const MAX_KEPT = 1_000;
/** Compared with where there is no key, so that an answer takes as long as with one. */
const NO_HASH = Buffer.alloc(32);
const READ_KEY = loadSql(import.meta.url, "./read-key.sql");
const TOUCH_KEY = loadSql(import.meta.url, "./touch-key.sql");

export function createVerifier({ database, clock }: VerifierParts): Verifier {
  const known = new Map<string, Kept>();
  // Apart: whoever tries ids at random must not push the rows of real keys out.
  const unknown = new Map<string, Kept>();

  function rowOf(id: string): Kept {
    const nowMs = clock.nowMs();
    for (const [map, freshMs] of [
      [known, FRESH_MS],
      [unknown, UNKNOWN_FRESH_MS],
    ] as const) {
      const kept = map.get(id);
      if (kept !== undefined && nowMs - kept.readMs < freshMs) return kept;
      map.delete(id);
    }
    const kept: Kept = { row: read(id), readMs: nowMs, touched: false };
    keep(unknown, id, kept);
    kept.row.then(
      (row) => {
        // Forgotten or replaced meanwhile: it may be older than what made it so.
        if (row === undefined || unknown.get(id) !== kept) return;
        unknown.delete(id);
        keep(known, id, kept);
      },
      () => {
        // The next request asks again; this one's caller hears of it.
        if (unknown.get(id) === kept) unknown.delete(id);
      },
    );
    return kept;
  }

  async function read(id: string): Promise<Row | undefined> {
    const [row] = await database.query<Row>(READ_KEY, [id]);
    return row;
  }

  /** Nobody waits for it: that the time of use is not written is no reason to refuse a request. */
  function touch(id: string): void {
    database.query(TOUCH_KEY, [id]).catch(() => {});
  }

  return {
    async verify(text) {
      const parsed = parseKey(text);
      if (parsed === undefined) return { kind: "refused", code: "key_invalid" };
      const kept = rowOf(parsed.id);
      const row = await kept.row;
      const isRight = timingSafeEqual(hashKey(text), row?.hash ?? NO_HASH);
      // Only whoever has the whole key learns what became of it.
      if (row === undefined || !isRight) return { kind: "refused", code: "key_invalid" };
      if (row.revoked) return { kind: "refused", code: "key_revoked" };
      if (row.expires_in_ms !== null && clock.nowMs() - kept.readMs >= row.expires_in_ms) {
        return { kind: "refused", code: "key_expired" };
      }
      if (!kept.touched) {
        kept.touched = true;
        touch(row.id);
      }
      return { kind: "known", caller: { tenant: row.tenant, scopes: row.scopes, name: row.id, label: row.name } };
    },
    forget(id) {
      known.delete(id);
      unknown.delete(id);
    },
  };
}

function keep(map: Map<string, Kept>, id: string, kept: Kept): void {
  if (map.size >= MAX_KEPT) {
    // A map's keys come in the order they were put in: the oldest row goes.
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  }
  map.set(id, kept);
}
