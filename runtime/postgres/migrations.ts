/**
 * The migrations as files: `0001-tasks.sql`, `0002-…`. Append-only, because what was applied somewhere cannot be changed
 * there by changing a file here; the sum of each text tells when somebody tried.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export type Migration = {
  /** 1, 2, 3, … */
  readonly number: number;
  /** The file's name, `0001-tasks.sql`. */
  readonly name: string;
  readonly text: string;
  /** SHA-256 of the text, in hex. */
  readonly sha256: string;
};

/** The migrations of this program. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL("./migrations", import.meta.url));

/** The schema this code works with: the number of its last migration. */
export const schemaVersion = readMigrations(MIGRATIONS_FOLDER).length;

/** Reads a folder's migrations in order. Throws when a `.sql` file is not named `NNNN-name.sql` or a number is missing or doubled. */
export function readMigrations(folder: string): Migration[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".sql"));
  return names.sort().map((name, index) => {
    const number = Number(/^(\d{4})-[a-z0-9-]+\.sql$/.exec(name)?.[1]);
    if (number !== index + 1) {
      const expected = String(index + 1).padStart(4, "0");
      throw new Error(`expected migration ${expected}-<name>.sql in ${folder}, got ${name}. Number them without gaps.`);
    }
    // A checkout on Windows has other line ends, and is no other migration.
    const text = readFileSync(join(folder, name), "utf8").replaceAll("\r\n", "\n");
    return { number, name, text, sha256: createHash("sha256").update(text).digest("hex") };
  });
}
