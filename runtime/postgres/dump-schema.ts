/**
 * The schema as one text, so that a review sees what a migration makes of it, and not only what it changes.
 * It is read from the catalog, as the server understood the migrations; `pg_dump` would have to be installed.
 */
import type { Database } from "./pool.ts";
import { loadSql } from "./sql.ts";

const dump = loadSql(import.meta.url, "./dump-schema.sql");

const HEADER = `-- The schema that the migrations make. Generated: change it by a migration and run: npm run schema
-- The search path is pg_catalog alone, so every name is complete.
`;

/** The statements that make the schema `taskiq`. Equal schemas give equal text, wherever and in whatever steps they were made. */
export async function dumpSchema(database: Database): Promise<string> {
  const rows = await database.transaction(async (tx) => {
    await tx.raw.query("set local search_path = pg_catalog");
    return await tx.query<{ text: string }>(dump, []);
  });
  return [HEADER, ...rows.map(({ text }) => `${text};\n`)].join("\n");
}
