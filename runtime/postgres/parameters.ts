/** What goes into a statement and what comes out of it, where the defaults of `pg` would change a value silently. */
import pg from "pg";
import type { Statement } from "./sql.ts";

const INT8 = 20;
const JSON_TEXT = 114;
const JSON_ARRAY = 199;
const TEXT_ARRAY = 1009;

/** For one pool only: `pg.types.setTypeParser` would change the pools of whoever else uses `pg` in the process. */
export const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: "text" | "binary") => {
  if (oid === INT8) return Number;
  if (oid === JSON_TEXT) return String;
  return pg.types.getTypeParser(oid === JSON_ARRAY ? TEXT_ARRAY : oid, format);
};

/** The statement with its parameters. Throws a TypeError for undefined, for which `pg` would send null. */
export function named(statement: Statement, params: readonly unknown[]): pg.QueryConfig {
  for (const [index, param] of params.entries()) {
    if (!hasUndefined(param)) continue;
    const where = `${statement.name}, $${index + 1}`;
    throw new TypeError(`${where}: expected a value or null, got undefined. Pass null where null is meant.`);
  }
  return { name: statement.name, text: statement.text, values: [...params] };
}

function hasUndefined(param: unknown): boolean {
  if (!Array.isArray(param)) return param === undefined;
  // includes() also sees the holes of a sparse array, which some() skips.
  return param.includes(undefined) || param.some((item) => Array.isArray(item) && hasUndefined(item));
}
