/** Names what broke a statement: the SQLSTATE of Postgres, the system's code of a lost connection, or our own. */

/** @returns `unknown` where it has none */
export function codeOf(error: unknown): string {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" && code !== "" ? code : "unknown";
}
