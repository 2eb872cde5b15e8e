/** Rows for people to read, in columns that line up. */
import { fitted, oneLine, widthOf } from "./text.ts";

/** The last column is as wide as it is; `columns` limits whole lines, on a terminal. */
export function tableLines(rows: readonly (readonly string[])[], columns = Number.POSITIVE_INFINITY): string[] {
  const clean = rows.map((row) => row.map(oneLine));
  const widths = (clean[0] ?? []).map((_, at) => Math.max(...clean.map((row) => widthOf(row[at] ?? ""))));
  return clean.map((row) => {
    const line = row.map((cell, at) => cell + " ".repeat(Math.max(0, (widths[at] ?? 0) - widthOf(cell)))).join("  ");
    return fitted(line.trimEnd(), columns - 1);
  });
}
