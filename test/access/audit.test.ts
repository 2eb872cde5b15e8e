import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { audit, audited, readAudit } from "../../runtime/access/audit.ts";
import { listKeys } from "../../runtime/access/keys.ts";
import { pruneAccess } from "../../runtime/access/prune-access.ts";
import { TaskiqError } from "../../runtime/errors.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask } from "../support/tasks.ts";
import { clearAccess, createExpiredKey, createKey, revokeElsewhere } from "./test-keys.ts";

const EVERYTHING = { before: Number.MAX_SAFE_INTEGER, limit: 100 };
const HOUR_MS = 3_600_000;
const by = (tenant: string) => ({ tenant, name: "anadminskeyx" });

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 3, applicationName: "audit test" });
});
beforeEach(() => clearAccess(database));
afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

describe("an entry", () => {
  test("says who did what to what, and under which name the key is known", async () => {
    const { id } = await createKey(database, { name: "on call" });
    await audit(database, { tenant: "default", name: id }, "queue.pause", "mail", { why: "späť \u0000" });
    await audit(database, by("default"), "tasks.cancel", null);
    const [second, first] = await readAudit(database, null, EVERYTHING);
    expect(first).toMatchObject({ actor: id, key_name: "on call", action: "queue.pause", target: "mail" });
    expect(JSON.parse(first?.detail ?? "")).toEqual({ why: "späť \u0000" });
    expect(second).toMatchObject({ actor: "anadminskeyx", key_name: null, target: null, detail: null });
  });

  test("is there with what it tells of, or not at all", async () => {
    const work = audited(database, async (tx) => {
      await audit(tx, by("default"), "task.cancel", "x");
      throw new TaskiqError("task_not_found", "none");
    });
    await expect(work).rejects.toMatchObject({ code: "task_not_found" });
    expect(await readAudit(database, null, EVERYTHING)).toEqual([]);
    expect(await audited(database, async (tx) => audit(tx, by("default"), "task.cancel", "x"))).toBeUndefined();
    expect(await readAudit(database, null, EVERYTHING)).toHaveLength(1);
  });

  test("whose commit was not answered is asked for again", async () => {
    const lost: Database = {
      ...database,
      transaction: async () => {
        throw new TaskiqError("commit_unknown", "lost");
      },
    };
    await expect(audited(lost, async () => {})).rejects.toMatchObject({ code: "database_unavailable" });
  });
});

test("a tenant reads its own entries, page by page, and whoever may read all reads all", async () => {
  for (const tenant of ["a", "b", "a", "b", "a"]) await audit(database, by(tenant), "task.retry", tenant);
  const first = await readAudit(database, "a", { before: Number.MAX_SAFE_INTEGER, limit: 2 });
  const second = await readAudit(database, "a", { before: first.at(-1)?.id ?? 0, limit: 2 });
  expect([first, second].map((page) => page.map(({ tenant }) => tenant))).toEqual([["a", "a"], ["a"]]);
  expect(new Set([...first, ...second].map(({ id }) => id)).size).toBe(3);
  expect(await readAudit(database, null, EVERYTHING)).toHaveLength(5);
});

test("what is older than the retention is deleted: entries, and keys that ended before it", async () => {
  await audit(database, by("default"), "task.retry", "old");
  await ask(database, "update taskiq.audit set at = now() - interval '2 hours'");
  await audit(database, by("default"), "task.retry", "new");
  const live = await createKey(database, { lifeMs: null });
  const expired = await createExpiredKey(database);
  const revoked = await createKey(database);
  const recent = await createKey(database);
  for (const { id } of [revoked, recent]) await revokeElsewhere(database, id);
  await ask(database, "update taskiq.api_key set revoked_at = now() - interval '2 hours' where id = $1", [revoked.id]);
  await ask(database, "update taskiq.api_key set expires_at = now() - interval '2 hours' where id = $1", [expired.id]);
  expect(await pruneAccess(database, HOUR_MS)).toBe(false);
  const targets = (await readAudit(database, null, EVERYTHING)).map(({ target }) => target);
  expect(targets).toContain("new");
  expect(targets).not.toContain("old");
  expect((await listKeys(database, null)).map(({ id }) => id).sort()).toEqual([live.id, recent.id].sort());
});

test("deleting says when there may be more", async () => {
  await ask(
    database,
    "insert into taskiq.audit (at, actor, tenant, action) select now() - interval '1 day', 'x', 'a', 'task.retry' from generate_series(1, 1500)",
  );
  expect([await pruneAccess(database, HOUR_MS), await pruneAccess(database, HOUR_MS)]).toEqual([true, false]);
  expect(await readAudit(database, null, EVERYTHING)).toEqual([]);
});
