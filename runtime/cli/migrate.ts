/** `taskiq-aws migrate`: brings the schema up to date and says what it did. */
import { configFromProcess } from "../config.ts";
import { TaskiqError } from "../errors.ts";
import { migrate } from "../postgres/migrate.ts";
import { isConnectionError } from "../postgres/pool.ts";
import { redactText } from "../redact.ts";
import { databasePassword } from "../secrets/database-password.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { reportError } from "./report-error.ts";
import type { Screen } from "./screen.ts";

export type MigrateCommandOptions = { readonly json?: true; readonly settings: Readonly<Record<string, string>> };

export async function runMigrate({ json, settings }: MigrateCommandOptions, screen: Screen): Promise<ExitCode> {
  const { database, aws } = configFromProcess({ SERVICE_ROLE: "migrate", ...settings });
  try {
    const { from, to } = await migrate(database.url, {
      caFile: database.caFile ?? undefined,
      password: databasePassword(database, aws),
    });
    screen.out.line(json === true ? JSON.stringify({ from, to }) : describe(from, to));
    return EXIT.ok;
  } catch (error) {
    reportError(isConnectionError(error) ? unreachable(error) : error, screen, { json: json === true });
    return EXIT.failed;
  }
}

function describe(from: number, to: number): string {
  if (from === to) return `The database schema is at version ${to}; there was nothing to do.`;
  return `The database schema is at version ${to} now, it was ${from === 0 ? "not there" : `at ${from}`}.`;
}

function unreachable(cause: unknown): TaskiqError {
  const reason = redactText(cause instanceof Error ? cause.message : String(cause));
  return new TaskiqError(
    "database_unavailable",
    `expected the database of DATABASE_URL, got: ${reason}. taskiq-aws doctor says more.`,
    { cause },
  );
}
