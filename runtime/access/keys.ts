/** Making, listing and ending keys. The text of a key exists in the answer to whoever made it, and nowhere else. */
import { TaskiqError } from "../errors.ts";
import type { Database, Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { audit, audited } from "./audit.ts";
import type { NewKey } from "./key.ts";
import type { Caller, Scope } from "./scope.ts";

export type KeyRow = {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  readonly created_at: Date;
  /** The id of a key, `anonymous`, or `keygen`. */
  readonly created_by: string;
  /** Null: never. */
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly revoked_by: string | null;
  /** To the minute. */
  readonly last_used_at: Date | null;
};

export type KeySettings = {
  /** What the key is for. Two live keys may have one name, so that a new one can replace an old one without a gap. */
  readonly name: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  /** Null: for ever. */
  readonly lifeMs: number | null;
};

export const MAX_LISTED_KEYS = 1_000;
export const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9 ._@:/-]{0,99}$/;
export const KEY_NAME_RULE =
  "expected 1 to 100 letters, digits, spaces and any of ._@:/- that start with a letter or digit";
export const MAX_KEY_DAYS = 3_650;

const INSERT_KEY = loadSql(import.meta.url, "./insert-key.sql");
const RETIRE_KEYS = loadSql(import.meta.url, "./retire-keys.sql");
const REVOKE_KEY = loadSql(import.meta.url, "./revoke-key.sql");
const LIST_KEYS = loadSql(import.meta.url, "./list-keys.sql");
const PLACES = [1, 2];

/** Stores a key, or rather its hash. Throws TaskiqError `key_limit` when two live keys have the name. */
export async function storeKey(
  database: Database,
  key: Pick<NewKey, "id" | "hash">,
  settings: KeySettings,
  by: Pick<Caller, "tenant" | "name">,
): Promise<KeyRow> {
  const { name, tenant, scopes, lifeMs } = settings;
  return await audited(database, async (tx) => {
    await tx.query(RETIRE_KEYS, [tenant, name]);
    for (const place of PLACES) {
      const params = [key.id, key.hash, name, tenant, [...new Set(scopes)], lifeMs, by.name, place];
      const [row] = await tx.query<KeyRow>(INSERT_KEY, params);
      if (row === undefined) continue;
      await audit(tx, by, "key.create", key.id, { name, tenant, scopes, expires_at: row.expires_at });
      return row;
    }
    throw new TaskiqError(
      "key_limit",
      `expected at most one live key named ${JSON.stringify(name)} in the tenant ${tenant}, there are two. Revoke the one that is not used any more.`,
    );
  });
}

/** Ends a key, for good. Throws TaskiqError `key_not_found`. @param tenant only a key of this tenant; null: of any */
export async function revokeKey(database: Database, id: string, tenant: string | null, by: Caller): Promise<KeyRow> {
  return await audited(database, async (tx) => {
    const [found] = await tx.query<KeyRow & { was_live: boolean }>(REVOKE_KEY, [id, tenant, by.name]);
    if (found === undefined) {
      throw new TaskiqError(
        "key_not_found",
        `expected the id of a key, which follows the second underscore of its text, got ${JSON.stringify(id)}, which no key has.`,
      );
    }
    const { was_live: wasLive, ...row } = found;
    if (wasLive) await audit(tx, by, "key.revoke", id, { name: row.name, tenant: row.tenant });
    return row;
  });
}

/** At most 1,000, newest first. @param tenant only keys of this tenant; null: all */
export async function listKeys(database: Queryable, tenant: string | null): Promise<KeyRow[]> {
  return await database.query<KeyRow>(LIST_KEYS, [tenant, MAX_LISTED_KEYS]);
}
