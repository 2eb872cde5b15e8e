import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rotatingPassword } from "../../runtime/postgres/password.ts";
import { type Database, isConnectionError, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { executeSql } from "../support/execute-sql.ts";

describe("a password out of a secret", () => {
  test("is read once for all who need it", async () => {
    let reads = 0;
    const password = rotatingPassword(async () => `password ${++reads}`);
    expect(await Promise.all([password.read(), password.read()])).toEqual(["password 1", "password 1"]);
    expect(await password.read()).toBe("password 1");
  });

  test("is read anew, once for all who were refused, and another one is worth a try", async () => {
    let reads = 0;
    const password = rotatingPassword(async () => `password ${++reads}`);
    const used = await password.read();
    expect(await Promise.all([password.renew(used), password.renew(used)])).toEqual([true, true]);
    expect(await password.renew(used)).toBe(true);
    expect(reads).toBe(2);
  });

  test("that has not changed is not worth another try", async () => {
    const password = rotatingPassword(async () => "the same");
    expect(await password.renew(await password.read())).toBe(false);
  });

  test("that could not be read is asked for again the next time", async () => {
    const answers = [Promise.reject(new Error("away")), Promise.resolve("found")];
    const password = rotatingPassword(() => answers.shift() ?? Promise.reject(new Error("no more")));
    await expect(password.read()).rejects.toThrow("away");
    expect(await password.read()).toBe("found");
  });
});

describe("a database whose password is rotated", () => {
  const role = `rotated_${process.pid}`;
  let testDatabase: TestDatabase;
  let database: Database;
  let secret = "first";

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    await executeSql(testDatabase.url, `create role ${role} login password 'first'`);
    const url = new URL(testDatabase.url);
    url.username = role;
    url.password = "";
    database = openDatabase({
      connectionString: url.href,
      password: rotatingPassword(async () => secret),
      max: 2,
      applicationName: "rotated",
    });
  });

  afterAll(async () => {
    await database.close();
    await testDatabase.drop();
    await executeSql(testDatabase.url.replace(/\/[^/]*$/, "/postgres"), `drop role ${role}`);
  });

  const whoAmI = { name: "who-am-i", text: "select current_user as name" };
  const disconnect = () =>
    executeSql(testDatabase.url, `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`);

  /** Whatever the cut connection still has to say comes first. */
  async function ask(): Promise<unknown> {
    for (;;) {
      try {
        return await database.query(whoAmI, []);
      } catch (error) {
        if (!isConnectionError(error) || /password/.test(String(error))) throw error;
      }
    }
  }

  test("is connected to with the new one, without an error in between", async () => {
    expect(await ask()).toEqual([{ name: role }]);
    await executeSql(testDatabase.url, `alter role ${role} password 'second'`);
    secret = "second";
    await disconnect();
    expect(await ask()).toEqual([{ name: role }]);
  });

  test("is away, and not broken, while secret and database do not agree", async () => {
    await executeSql(testDatabase.url, `alter role ${role} password 'third'`);
    await disconnect();
    const error = await ask().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "database_unavailable", message: expect.stringContaining("being rotated") });
    expect(isConnectionError(error)).toBe(true);
    secret = "third";
    expect(await ask()).toEqual([{ name: role }]);
  });
});
