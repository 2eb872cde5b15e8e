/** A database of its own for a test file, with the current schema and no rows. */
import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { executeSql } from "./execute-sql.ts";

export type TestDatabase = {
  readonly url: string;
  /** Removes it, and cuts off whoever is still connected. May be called again. */
  drop(): Promise<void>;
};

/** Clones the template that global-setup.ts made (about 50 ms). Make one a file, in `beforeAll`; `drop` it in `afterAll`. */
export async function createTestDatabase(): Promise<TestDatabase> {
  return await createDatabase(inject("databaseTemplate"));
}

/** The same without a schema, for tests of the migrations themselves. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return await createDatabase("template0");
}

async function createDatabase(template: string): Promise<TestDatabase> {
  const serverUrl = inject("databaseServerUrl");
  const name = `taskiq_test_${randomBytes(6).toString("hex")}`;
  await executeSql(serverUrl, `create database ${name} template ${template}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    async drop() {
      await executeSql(serverUrl, `drop database if exists ${name} with (force)`);
    },
  };
}
