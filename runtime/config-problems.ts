/**
 * What is wrong with an environment, one line a problem, in the words of the table: what was expected, what came and
 * what to do. No line shows a secret.
 */
import type { z } from "zod";
import { shownValue, type Variable } from "./config-variable.ts";

/** Environment variables by name; an undefined one is unset. */
export type Source = Readonly<Record<string, string | undefined>>;

/** The variables that may be set, by name. */
export type Table = Readonly<Record<string, Variable<unknown>>>;

/** Lines such as `TASKIQ_LEASE_MS: expected an integer from 2000 to 600000, got "30s". Use milliseconds, for example 30000.` */
export function describeIssues(
  table: Table,
  { raw, origins }: { readonly raw: Source; readonly origins: Source },
  issues: readonly z.core.$ZodIssue[],
): string[] {
  const lines = issues.map((issue) => {
    const [name = "", ...path] = issue.path.map(String);
    const variable = table[name];
    const hint = issue.code === "custom" && typeof issue.params?.hint === "string" ? issue.params.hint : variable?.hint;
    // Only shapes and rules have messages of their own; what zod says about the rest is less than the table knows.
    const expected = issue.message.startsWith("expected ") ? issue.message : `expected ${variable?.expected}`;
    const origin = origins[name] === undefined ? "" : ` (${origins[name]})`;
    return `${name}${pathText(path)}${origin}: ${expected}, got ${got(variable, raw[name], path, issue)}. ${hint}`;
  });
  return [...new Set(lines)];
}

/**
 * A line for every name in the environment that is no variable and starts with `prefix`: a typing mistake would else go unnoticed.
 */
export function describeUnknownNames(table: Table, env: Source, prefix = "TASKIQ_"): string[] {
  const known = Object.entries(table).flatMap(([name, variable]) => [name, ...variable.aliases]);
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith(prefix) && env[name] !== undefined && !known.includes(name),
  );
  return unknown.map((name) => {
    const nearest = closest(name, known);
    const hint = nearest === undefined ? "Remove it; .env.example lists them all." : `Did you mean ${nearest}?`;
    return `${name}: there is no such variable. ${hint}`;
  });
}

function got(
  variable: Variable<unknown> | undefined,
  text: string | undefined,
  path: readonly string[],
  issue: z.core.$ZodIssue,
): string {
  if (text === undefined) {
    const fallback = variable?.presence;
    return typeof fallback === "object" ? `${fallback.default}, its default` : "nothing";
  }
  if (variable?.secret !== false) return "something else (not shown, as it may hold a password)";
  if (issue.code === "unrecognized_keys") return issue.keys.map(shownValue).join(", ");
  if (path.length === 0) return shownValue(text);
  return shownValue(path.reduce(step, JSON.parse(text)));
}

function step(value: unknown, key: string): unknown {
  // Any key may be asked for; the answer stays unknown.
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function pathText(path: readonly string[]): string {
  return path.map((key) => (/^\d+$/.test(key) ? `[${key}]` : `.${key}`)).join("");
}

/** The name that takes the fewest changed letters, if it takes few. */
function closest(name: string, candidates: readonly string[]): string | undefined {
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate);
    if (best === undefined || distance < best.distance) best = { candidate, distance };
  }
  return best !== undefined && best.distance <= Math.max(2, name.length / 4) ? best.candidate : undefined;
}

/** Levenshtein distance: letters inserted, deleted or replaced to make one text of the other. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[to.length]!;
}
