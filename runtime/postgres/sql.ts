/**
 * SQL lives in `.sql` files beside the code that calls it: they can be read, prepared and checked as what they are.
 * A file is read once, when its module is loaded, so a missing file stops the process at start and not at first use.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

/** A statement and the name under which a connection prepares it: planned once per connection, then only executed. */
export type Statement = { readonly name: string; readonly text: string };

/** Postgres cuts longer names off, and two that are equal up to there would share one plan. */
const MAX_NAME_BYTES = 63;

/**
 * Reads a statement: `loadSql(import.meta.url, "./claim.sql")` is named `claim`.
 * The name has to be unique in the program: one connection refuses two texts under one name, and a check compares all files.
 * Throws when the file does not exist, does not end in `.sql` or its name has over 63 bytes.
 */
export function loadSql(moduleUrl: string, file: string): Statement {
  const name = basename(file, ".sql");
  if (!file.endsWith(".sql") || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new Error(
      `expected a file name that ends in .sql with at most ${MAX_NAME_BYTES} bytes before it, got ${file}`,
    );
  }
  return { name, text: readFileSync(fileURLToPath(new URL(file, moduleUrl)), "utf8") };
}
