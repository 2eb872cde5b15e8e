/** Keys made for a test, and rows of them in the state under test. */
import { makeKey, type NewKey, withChecksum } from "../../runtime/access/key.ts";
import { type KeySettings, storeKey } from "../../runtime/access/keys.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { ask } from "../support/tasks.ts";

let names = 0;

/** Stores a key: by default one of the tenant `default` with the scope `admin`, for an hour, under a name of its own. */
export async function createKey(database: Database, settings: Partial<KeySettings> = {}): Promise<NewKey> {
  const key = makeKey("test");
  const { name = `key ${++names}`, tenant = "default", scopes = ["admin"], lifeMs = 3_600_000 } = settings;
  await storeKey(database, key, { name, tenant, scopes, lifeMs }, { name: "keygen", tenant });
  return key;
}

export async function createExpiredKey(database: Database, settings: Partial<KeySettings> = {}): Promise<NewKey> {
  const key = await createKey(database, settings);
  await expireKey(database, key.id);
  return key;
}

export async function expireKey(database: Database, id: string): Promise<void> {
  await ask(database, "update taskiq.api_key set expires_at = now() - interval '1 second' where id = $1", [id]);
}

/** As another process revokes it. */
export async function revokeElsewhere(database: Database, id: string): Promise<void> {
  await ask(database, "update taskiq.api_key set revoked_at = now() where id = $1", [id]);
}

export async function clearAccess(database: Database): Promise<void> {
  await ask(database, "delete from taskiq.api_key; delete from taskiq.audit");
}

/** A well-formed key with the id of another, and a secret of its own. */
export function forged(id: string): string {
  return withChecksum(
    makeKey("test")
      .text.slice(0, -6)
      .replace(/^tq_test_[a-z2-9]{12}/, `tq_test_${id}`),
  );
}
