/**
 * Brings the schema `taskiq` up to date, and keeps a process from working with a schema it does not know.
 *
 * Each migration is one transaction that starts with a transaction-scoped advisory lock: any number of migrators may run
 * at once, and one that dies leaves neither a lock nor half a migration. Old code may be running while it happens.
 */
import pg from "pg";
import { TaskiqError } from "../errors.ts";
import type { Log } from "../log.ts";
import { isConnectionError } from "./failure.ts";
import { MIGRATIONS_FOLDER, type Migration, readMigrations, schemaVersion } from "./migrations.ts";
import type { Password } from "./password.ts";
import { openDatabase, type Queryable, type Transaction } from "./pool.ts";
import { loadSql } from "./sql.ts";

export { schemaVersion } from "./migrations.ts";

export type MigrateOptions = {
  readonly log?: Log | undefined;
  readonly caFile?: string | undefined;
  /** Where the password is, when it is not in the connection string. */
  readonly password?: Password | undefined;
  /** Folder with `NNNN-name.sql`. Default: this program's own. */
  readonly folder?: string;
  /** How long to wait for another migrator. Default 60,000. */
  readonly waitMs?: number;
  /** How long a migration may wait for one lock: all who use the table queue up behind it. Default 5,000. */
  readonly lockTimeoutMs?: number;
  /** How long one migration may run. Default 900,000. */
  readonly migrationTimeoutMs?: number;
};

type Limits = { readonly waitMs: number; readonly lockTimeoutMs: number };
type Applied = { number: number; name: string; sha256: string };

const readApplied = loadSql(import.meta.url, "./read-migrations.sql");
const recordApplied = loadSql(import.meta.url, "./record-migration.sql");
const readVersion = loadSql(import.meta.url, "./read-schema-version.sql");

const LOCK = "select pg_advisory_xact_lock(hashtextextended('taskiq.migrate', 0))";
const WHAT_EXISTS =
  "select to_regnamespace('taskiq') is not null as schema, to_regclass('taskiq.migration') is not null as history";
const CREATE_SCHEMA = "create schema taskiq";
const CREATE_TABLE = `
  create table taskiq.migration (
    number     integer primary key,
    name       text not null,
    sha256     text not null,
    applied_at timestamptz not null default now()
  )`;

/**
 * Applies what is missing, in order. Returns the version found and the version left; equal when there was nothing to do.
 * Throws `schema_newer`, `migration_changed`, a connection error, or an error that names the migration and its line.
 * After any of them the database is at the last migration that succeeded, and running it again goes on from there.
 */
export async function migrate(
  connectionString: string,
  options: MigrateOptions = {},
): Promise<{ from: number; to: number }> {
  const { folder = MIGRATIONS_FOLDER, waitMs = 60_000, lockTimeoutMs = 5_000, migrationTimeoutMs = 900_000 } = options;
  const migrations = readMigrations(folder);
  const database = openDatabase({
    connectionString,
    caFile: options.caFile,
    password: options.password,
    max: 1,
    applicationName: "taskiq-aws migrate",
    statementTimeoutMs: migrationTimeoutMs,
    queryTimeoutMs: migrationTimeoutMs + 5_000,
    lockTimeoutMs,
  });
  try {
    let step = await database.transaction((tx) => applyNext(tx, migrations, { waitMs, lockTimeoutMs }));
    const from = step.before;
    while (step.after < migrations.length) {
      step = await database.transaction((tx) => applyNext(tx, migrations, { waitMs, lockTimeoutMs }));
    }
    if (step.after > from) options.log?.info("migrate.applied", { from, to: step.after });
    return { from, to: step.after };
  } finally {
    await database.close();
  }
}

/**
 * What every process calls before it works: throws `schema_newer` or `schema_older` unless the database's schema is this
 * code's own. `expected` is for tests.
 */
export async function checkSchema(database: Queryable, expected: number = schemaVersion): Promise<void> {
  const version = await versionOf(database);
  if (version > expected) throw schemaNewer(version, expected);
  if (version < expected) {
    throw new TaskiqError(
      "schema_older",
      `expected database schema ${expected}, got ${version === 0 ? "none" : version}. Run: taskiq-aws migrate`,
      { details: { expected, version } },
    );
  }
}

async function versionOf(database: Queryable): Promise<number> {
  try {
    const [row] = await database.query<{ version: number }>(readVersion, []);
    return row?.version ?? 0;
  } catch (error) {
    // Before the first migration there is no table, or no schema, to ask.
    if (error instanceof pg.DatabaseError && (error.code === "42P01" || error.code === "3F000")) return 0;
    throw error;
  }
}

/** Applies the first migration that is missing, if one is; `before` and `after` are the versions around it. */
async function applyNext(
  tx: Transaction,
  migrations: readonly Migration[],
  limits: Limits,
): Promise<{ before: number; after: number }> {
  await waitForOthers(tx, limits);
  await createHistory(tx);
  const applied = await tx.query<Applied>(readApplied, []);
  compare(applied, migrations);
  const before = applied.length;
  const next = migrations[before];
  if (next === undefined) return { before, after: before };
  await apply(tx, next);
  return { before, after: next.number };
}

async function waitForOthers(tx: Transaction, { waitMs, lockTimeoutMs }: Limits): Promise<void> {
  await setLockTimeout(tx, waitMs);
  try {
    await tx.raw.query(LOCK);
  } catch (cause) {
    if (!(cause instanceof pg.DatabaseError && cause.code === "55P03")) throw cause;
    throw new TaskiqError(
      "internal",
      `expected to be the only migrator within ${waitMs} ms, another one is still at work. Wait until it has ended and run this again.`,
      { cause },
    );
  }
  await setLockTimeout(tx, lockTimeoutMs);
}

async function setLockTimeout(tx: Transaction, ms: number): Promise<void> {
  await tx.raw.query("select set_config('lock_timeout', $1, true)", [String(ms)]);
}

/** Asks before it creates: `if not exists` wants the right to create even where there is nothing to do. */
async function createHistory(tx: Transaction): Promise<void> {
  const { rows } = await tx.raw.query<{ schema: boolean; history: boolean }>(WHAT_EXISTS);
  if (rows[0]?.schema !== true) await tx.raw.query(CREATE_SCHEMA);
  if (rows[0]?.history !== true) await tx.raw.query(CREATE_TABLE);
}

function compare(applied: readonly Applied[], migrations: readonly Migration[]): void {
  const newest = applied.at(-1)?.number ?? 0;
  if (newest > migrations.length) throw schemaNewer(newest, migrations.length);
  for (const [index, { number, name, sha256 }] of applied.entries()) {
    const ours = migrations[index];
    if (ours?.number === number && ours.sha256 === sha256) continue;
    throw new TaskiqError(
      "migration_changed",
      `expected ${ours?.name ?? "no migration"} as it was applied, the database recorded ${name} with another text. Restore that file and put the change into a new migration.`,
      { details: { number, applied: sha256, ours: ours?.sha256 ?? null } },
    );
  }
}

async function apply(tx: Transaction, migration: Migration): Promise<void> {
  // A role that is called like the schema would find unqualified names; others would not.
  await tx.raw.query("set local search_path = pg_catalog");
  try {
    await tx.raw.query(migration.text);
  } catch (cause) {
    if (isConnectionError(cause)) throw cause;
    throw new TaskiqError("internal", `${migration.name}${lineOf(cause, migration.text)}: ${String(cause)}`, { cause });
  }
  if (tx.raw.getTransactionStatus() !== "T") {
    throw new TaskiqError(
      "internal",
      `${migration.name}: expected to be in its transaction still, it has ended. Remove commit and rollback from it.`,
    );
  }
  await tx.query(recordApplied, [migration.number, migration.name, migration.sha256]);
}

/** `:12` where the server says at which character it stopped. */
function lineOf(error: unknown, text: string): string {
  if (!(error instanceof pg.DatabaseError) || error.position === undefined) return "";
  // Counted in characters, from 1; a string's index counts half of an emoji.
  return `:${[...text].slice(0, Number(error.position) - 1).filter((character) => character === "\n").length + 1}`;
}

function schemaNewer(version: number, known: number): TaskiqError {
  return new TaskiqError(
    "schema_newer",
    `expected database schema ${known} at most, got ${version}. The database was migrated by a newer release: run that release here too; a schema is never taken back.`,
    { details: { expected: known, version } },
  );
}
