import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readAudit } from "../../runtime/access/audit.ts";
import { makeKey } from "../../runtime/access/key.ts";
import { listKeys, revokeKey, storeKey } from "../../runtime/access/keys.ts";
import type { Caller } from "../../runtime/access/scope.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask } from "../support/tasks.ts";
import { clearAccess, createExpiredKey, createKey, expireKey } from "./test-keys.ts";

const ADMIN: Caller = { tenant: "default", scopes: ["admin"], name: "anadminskeyx", label: "admin" };
const EVERYTHING = { before: Number.MAX_SAFE_INTEGER, limit: 100 };

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 5, applicationName: "keys test" });
});
beforeEach(() => clearAccess(database));
afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

describe("storing a key", () => {
  test("keeps its hash, and of its text nothing but the id", async () => {
    const key = await createKey(database, { name: "deploy bot", tenant: "acme", scopes: ["read", "enqueue", "read"] });
    const [row] = await ask<{ hash: Buffer; row: string }>(
      database,
      "select hash, (k.*)::text as row from taskiq.api_key k where id = $1",
      [key.id],
    );
    expect(row?.hash).toEqual(key.hash);
    const audit = JSON.stringify(await readAudit(database, null, EVERYTHING));
    const secret = key.text.slice(`tq_test_${key.id}_`.length, -6);
    for (const kept of [row?.row, audit]) {
      expect(kept).toContain(key.id);
      expect(kept).not.toContain(secret.slice(0, 10));
    }
    expect(await listKeys(database, "acme")).toMatchObject([
      { id: key.id, name: "deploy bot", tenant: "acme", scopes: ["read", "enqueue"], created_by: "keygen" },
    ]);
  });

  test("lets two live keys of one name be there, for a change without a gap, and no third", async () => {
    const first = await createKey(database, { name: "bot" });
    await createKey(database, { name: "bot" });
    await expect(createKey(database, { name: "bot" })).rejects.toMatchObject({ code: "key_limit" });
    await createKey(database, { name: "bot", tenant: "acme" });
    await revokeKey(database, first.id, null, ADMIN);
    await createKey(database, { name: "bot" });
    await expect(createKey(database, { name: "bot" })).rejects.toMatchObject({ code: "key_limit" });
  });

  test("counts no key that has expired", async () => {
    const old = await createExpiredKey(database, { name: "bot" });
    await createKey(database, { name: "bot" });
    await createKey(database, { name: "bot" });
    const keys = await listKeys(database, null);
    expect(keys).toHaveLength(3);
    const retired = keys.find(({ id }) => id === old.id);
    expect(retired?.revoked_at).toEqual(retired?.expires_at);
  });

  test("leaves exactly two of twenty that come at one moment", async () => {
    const wanted = Array.from({ length: 20 }, () => createKey(database, { name: "bot" }));
    const outcomes = await Promise.allSettled(wanted);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    expect(await listKeys(database, null)).toHaveLength(2);
    expect(await readAudit(database, null, EVERYTHING)).toHaveLength(2);
  });

  test.each([
    ["scopes_known", "update taskiq.api_key set scopes = '{}'"],
    ["scopes_known", "update taskiq.api_key set scopes = '{root}'"],
    ["hash_is_sha256", "update taskiq.api_key set hash = '\\x00'"],
    ["two_live_keys_per_name", "update taskiq.api_key set slot = 1, name = 'same'"],
  ])("is guarded by the table itself: %s", async (constraint, statement) => {
    await createKey(database);
    await createKey(database);
    await expect(ask(database, statement)).rejects.toThrow(constraint);
  });
});

describe("revoking a key", () => {
  test("ends it once, and records by whom", async () => {
    const { id } = await createKey(database, { name: "bot" });
    const first = await revokeKey(database, id, null, ADMIN);
    expect(first).toMatchObject({ id, revoked_at: expect.any(Date), revoked_by: ADMIN.name });
    expect(first).not.toHaveProperty("hash");
    expect(await revokeKey(database, id, null, { ...ADMIN, name: "somebodyelse" })).toEqual(first);
    const audit = await readAudit(database, null, EVERYTHING);
    expect(audit.map(({ actor, action, target }) => [actor, action, target])).toEqual([
      [ADMIN.name, "key.revoke", id],
      ["keygen", "key.create", id],
    ]);
  });

  test("finds no key of another tenant, and none that is not there", async () => {
    const { id } = await createKey(database, { tenant: "acme" });
    await expect(revokeKey(database, id, "other", ADMIN)).rejects.toMatchObject({ code: "key_not_found" });
    await expect(revokeKey(database, makeKey("test").id, null, ADMIN)).rejects.toMatchObject({ code: "key_not_found" });
    expect((await listKeys(database, null))[0]?.revoked_at).toBeNull();
  });
});

test("lists the keys of a tenant, or all, newest first and never with a hash", async () => {
  const mine = await createKey(database, { tenant: "acme" });
  const other = await createKey(database);
  await expireKey(database, mine.id);
  expect((await listKeys(database, "acme")).map(({ id }) => id)).toEqual([mine.id]);
  expect((await listKeys(database, null)).map(({ id }) => id)).toEqual([other.id, mine.id]);
  expect(JSON.stringify(await listKeys(database, null))).not.toContain("hash");
});

test("a key whose audit cannot be written is not made", async () => {
  await ask(database, "alter table taskiq.audit add constraint refused check (action <> 'key.create') not valid");
  try {
    const by = { name: "keygen", tenant: "default" };
    const settings = { name: "bot", tenant: "default", scopes: ["read"], lifeMs: null } as const;
    await expect(storeKey(database, makeKey("test"), settings, by)).rejects.toThrow("refused");
    expect(await listKeys(database, null)).toEqual([]);
  } finally {
    await ask(database, "alter table taskiq.audit drop constraint refused");
  }
});
