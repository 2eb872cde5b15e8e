import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadSql } from "../../runtime/postgres/sql.ts";

let folder = "";
let module = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "taskiq-sql-"));
  module = pathToFileURL(join(folder, "claim.ts")).href;
});

afterAll(() => rmSync(folder, { recursive: true }));

test("a statement has its file's name and text", () => {
  writeFileSync(join(folder, "claim.sql"), "select 'ü'\n");
  expect(loadSql(module, "./claim.sql")).toEqual({ name: "claim", text: "select 'ü'\n" });
});

test("a missing file stops the module that loads it", () => {
  expect(() => loadSql(module, "./gone.sql")).toThrow("gone.sql");
});

test("refuses a name that Postgres would cut off", () => {
  expect(() => loadSql(module, `./${"a".repeat(64)}.sql`)).toThrow("63");
});

test("refuses a file that is not SQL by its name", () => {
  expect(() => loadSql(module, "./claim.ts")).toThrow("claim.ts");
});
