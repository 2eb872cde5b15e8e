/**
 * What the compiler does for TypeScript, for the `.sql` files: every one is prepared against the migrated schema, and its
 * header, which callers read instead of the text, names exactly the parameters that the text uses.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

const RUNTIME = fileURLToPath(new URL("../../runtime", import.meta.url));

type SqlFile = { readonly path: string; readonly text: string; readonly header: string; readonly body: string };

const paths = readdirSync(RUNTIME, { recursive: true, encoding: "utf8" }).map((path) => join(RUNTIME, path));
const files: SqlFile[] = paths.filter(isStatement).map(readSqlFile);
const loads = paths.filter((path) => path.endsWith(".ts")).flatMap(loadsOf);

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 1, applicationName: "prepare" });
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

test("there are statements to check", () => {
  expect(files.length).toBeGreaterThan(0);
  expect(loads.length).toBeGreaterThan(0);
});

test("no two statements have one name", () => {
  const names = files.map(({ path }) => basename(path));
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

test("what a module loads exists", () => {
  const known = new Set(files.map(({ path }) => path));
  expect(loads.filter(({ target }) => !known.has(target))).toEqual([]);
});

describe.each(files.map((file) => [relative(RUNTIME, file.path), file] as const))("%s", (_name, file) => {
  test("can be prepared", async () => {
    await database.transaction(async (tx) => {
      // A role that is called like the schema would find unqualified names; others would not.
      await tx.raw.query("set local search_path = pg_catalog");
      await tx.raw.query(`prepare checked as ${file.text}`);
      // Prepared statements outlive their transaction.
      await tx.raw.query("deallocate checked");
    });
  });

  test("is one statement", () => {
    expect(file.body.trimEnd().replace(/;$/, "")).not.toContain(";");
  });

  test("starts with a sentence that says what it does", () => {
    expect(file.header.split("\n")[0]).toMatch(/^-- [A-Z].*\S/);
  });

  test("documents exactly the parameters it uses", () => {
    expect(parametersOf(file.header)).toEqual(parametersOf(file.body));
  });

  test("has its keywords in lower case", () => {
    expect(file.body.match(/[A-Z]+/g) ?? []).toEqual([]);
  });

  test("is loaded by one module, beside it", () => {
    const by = loads
      .filter(({ target }) => target === file.path)
      .map(({ module }) => relative(dirname(file.path), module));
    expect(by).toEqual([expect.stringMatching(/^[^/]+\.ts$/)]);
  });
});

function isStatement(path: string): boolean {
  return path.endsWith(".sql") && basename(dirname(path)) !== "migrations" && basename(path) !== "schema.sql";
}

function readSqlFile(path: string): SqlFile {
  const text = readFileSync(path, "utf8");
  const header = /^(?:--.*\n)*/.exec(text)?.[0] ?? "";
  return { path, text, header, body: withoutCommentsAndLiterals(text) };
}

/** Literals and quoted names become '' and "", so that nothing in them is taken for SQL. */
function withoutCommentsAndLiterals(text: string): string {
  return text.replace(/--.*|\/\*[\s\S]*?\*\/|e?'(?:[^']|'')*'|"[^"]*"/gi, (found) => {
    if (found.startsWith('"')) return '""';
    return found.startsWith("-") || found.startsWith("/") ? "" : "''";
  });
}

function parametersOf(text: string): string[] {
  return [...new Set(text.match(/\$\d+/g))].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
}

function loadsOf(module: string): { module: string; target: string }[] {
  const code = readFileSync(module, "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  const calls = code.matchAll(/loadSql\(\s*import\.meta\.url,\s*"([^"]+)",?\s*\)/g);
  return [...calls].map(([, file = ""]) => ({ module, target: join(dirname(module), file) }));
}
