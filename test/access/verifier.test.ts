import { timingSafeEqual } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { makeKey } from "../../runtime/access/key.ts";
import { storeKey } from "../../runtime/access/keys.ts";
import { createVerifier, FRESH_MS, UNKNOWN_FRESH_MS, type Verifier } from "../../runtime/access/verifier.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { clearAccess, createExpiredKey, createKey, expireKey, forged, revokeElsewhere } from "./test-keys.ts";

vi.mock(import("node:crypto"), async (original) => {
  const real = await original();
  return { ...real, timingSafeEqual: vi.fn(real.timingSafeEqual) };
});

let testDatabase: TestDatabase;
let database: Database;
/** Ids of the keys whose rows were read. */
let reads: string[];
let away = false;
let clock: ManualClock;
let verifier: Verifier;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 3, applicationName: "verifier test" });
});
beforeEach(async () => {
  await clearAccess(database);
  reads = [];
  away = false;
  clock = createManualClock();
  verifier = createVerifier({
    clock,
    database: {
      query: async (statement, params) => {
        if (statement.name === "read-key") reads.push(String(params[0]));
        if (away) throw Object.assign(new Error("away"), { code: "ECONNREFUSED" });
        return await database.query(statement, params);
      },
    },
  });
});
afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

const refused = (code: string) => ({ kind: "refused", code });

describe("a key", () => {
  test("stands for its tenant, its scopes, its id and its name", async () => {
    const { text, id } = await createKey(database, { name: "reports", tenant: "acme", scopes: ["enqueue", "read"] });
    const caller = { tenant: "acme", scopes: ["enqueue", "read"], name: id, label: "reports" };
    expect(await verifier.verify(text)).toEqual({ kind: "known", caller });
  });

  test("that never expires is known", async () => {
    const { text } = await createKey(database, { lifeMs: null });
    expect(await verifier.verify(text)).toMatchObject({ kind: "known" });
  });

  test("nobody made is refused, and so is what is no key, without a question to the database", async () => {
    expect(await verifier.verify(makeKey("test").text)).toEqual(refused("key_invalid"));
    expect(reads).toHaveLength(1);
    for (const text of ["", "nonsense", `${makeKey("test").text}x`]) {
      expect(await verifier.verify(text)).toEqual(refused("key_invalid"));
    }
    expect(reads).toHaveLength(1);
  });

  test("that expired or was revoked is told so", async () => {
    const expired = await createExpiredKey(database);
    const revoked = await createKey(database);
    await revokeElsewhere(database, revoked.id);
    expect(await verifier.verify(expired.text)).toEqual(refused("key_expired"));
    expect(await verifier.verify(revoked.text)).toEqual(refused("key_revoked"));
  });

  test("with the id of another and a secret of its own is refused, and learns nothing of what became of that one", async () => {
    const keys = [await createKey(database), await createExpiredKey(database), await createKey(database)];
    await revokeElsewhere(database, keys[2]?.id ?? "");
    for (const { id } of keys) expect(await verifier.verify(forged(id))).toEqual(refused("key_invalid"));
  });
});

test("compares in constant time, once, whatever is wrong with a key", async () => {
  const right = await createKey(database);
  const revoked = await createKey(database);
  await revokeElsewhere(database, revoked.id);
  const compared = vi.mocked(timingSafeEqual);
  for (const text of [right.text, revoked.text, forged(right.id), makeKey("test").text]) {
    compared.mockClear();
    await verifier.verify(text);
    expect(compared.mock.calls.map((hashes) => hashes.map((hash) => hash.byteLength))).toEqual([[32, 32]]);
  }
});

describe("rows are kept", () => {
  test("for 30 s: then a key that was revoked elsewhere is refused, and not before", async () => {
    const { text, id } = await createKey(database);
    expect(await verifier.verify(text)).toMatchObject({ kind: "known" });
    await revokeElsewhere(database, id);
    await clock.advance(FRESH_MS - 1);
    expect(await verifier.verify(text)).toMatchObject({ kind: "known" });
    expect(reads).toEqual([id]);
    await clock.advance(1);
    expect(await verifier.verify(text)).toEqual(refused("key_revoked"));
    expect(reads).toEqual([id, id]);
  });

  test("no longer than until this process revokes the key", async () => {
    const { text, id } = await createKey(database);
    await verifier.verify(text);
    await revokeElsewhere(database, id);
    verifier.forget(id);
    expect(await verifier.verify(text)).toEqual(refused("key_revoked"));
  });

  test("and a key ends to the moment all the same", async () => {
    const { text } = await createKey(database, { lifeMs: 10_000 });
    await verifier.verify(text);
    await clock.advance(9_000);
    expect(await verifier.verify(text)).toMatchObject({ kind: "known" });
    await clock.advance(1_000);
    expect(await verifier.verify(text)).toEqual(refused("key_expired"));
    expect(reads).toHaveLength(1);
  });

  test("once for requests that come at one moment", async () => {
    const { text } = await createKey(database);
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => verifier.verify(text)));
    expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(["known"]));
    expect(reads).toHaveLength(1);
  });

  test("also of ids that nobody has, which do not push those of real keys out, however many are tried", async () => {
    const real = await createKey(database);
    await verifier.verify(real.text);
    const unknown = makeKey("test").text;
    for (let again = 0; again < 3; again++) await verifier.verify(unknown);
    expect(reads).toHaveLength(2);
    for (let tried = 0; tried < 1_200; tried++) await verifier.verify(makeKey("test").text);
    await verifier.verify(real.text);
    expect(reads.filter((id) => id === real.id)).toHaveLength(1);
    // It has made room for others: their number is bounded.
    await verifier.verify(unknown);
    expect(reads.at(-1)).toBe(unknown.split("_")[2]);
  });

  test("for 5 s where there is none: then a key that has just been stored is known", async () => {
    const early = makeKey("test");
    expect(await verifier.verify(early.text)).toEqual(refused("key_invalid"));
    const settings = { name: "early", tenant: "default", scopes: ["read"], lifeMs: null } as const;
    await storeKey(database, early, settings, { name: "keygen", tenant: "default" });
    await clock.advance(UNKNOWN_FRESH_MS - 1);
    expect(await verifier.verify(early.text)).toEqual(refused("key_invalid"));
    await clock.advance(1);
    expect(await verifier.verify(early.text)).toMatchObject({ kind: "known" });
  });

  test("and not where the database was away: the next request asks again", async () => {
    const { text } = await createKey(database);
    away = true;
    await expect(verifier.verify(text)).rejects.toThrow("away");
    away = false;
    expect(await verifier.verify(text)).toMatchObject({ kind: "known" });
  });

  test("and serve while the database is away", async () => {
    const { text } = await createKey(database);
    await verifier.verify(text);
    away = true;
    expect(await verifier.verify(text)).toMatchObject({ kind: "known" });
  });
});

describe("the time of use", () => {
  const lastUse = async (id: string) =>
    (
      await ask<{ used: Date | null }>(database, "select last_used_at as used from taskiq.api_key where id = $1", [id])
    )[0]?.used ?? null;

  test("is noted, at most once a minute", async () => {
    const { text, id } = await createKey(database);
    await verifier.verify(text);
    const first = await until(() => lastUse(id), { what: "the use to be noted" });
    await clock.advance(FRESH_MS);
    await verifier.verify(text);
    const { text: other, id: otherId } = await createKey(database);
    await verifier.verify(other);
    await until(() => lastUse(otherId), { what: "the later use of another key" });
    expect(await lastUse(id)).toEqual(first);
    await ask(database, "update taskiq.api_key set last_used_at = now() - interval '2 minutes' where id = $1", [id]);
    await clock.advance(FRESH_MS);
    await verifier.verify(text);
    await until(async () => +((await lastUse(id)) ?? 0) >= +first, { what: "the use a minute later" });
  });

  test("is not noted of a key that is refused", async () => {
    const { text, id } = await createKey(database);
    await expireKey(database, id);
    await verifier.verify(text);
    await verifier.verify(forged(id));
    const { text: other, id: otherId } = await createKey(database);
    await verifier.verify(other);
    await until(() => lastUse(otherId), { what: "the use of another key" });
    expect(await lastUse(id)).toBeNull();
  });
});
