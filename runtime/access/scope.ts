/** What a key allows, whose it is, and which of it a request needs. */

/**
 * `enqueue`: create tasks. `read`: look. `operate`: cancel, retry, redrive, pause. `command`: enqueue tasks that run a program of the
 * caller's choice, beside `enqueue`. `admin`: all of it, and keys and audit.
 */
export const SCOPES = ["enqueue", "read", "operate", "command", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** The tenant of the deployment itself: its keys may also do what concerns all tenants, such as pausing a queue. */
export const HOME_TENANT = "default";

/** How a tenant may be called. */
export const TENANT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
export const TENANT_NAME_RULE = "expected 1 to 100 letters, digits and any of ._- that start with a letter or digit";

export type Caller = {
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  /** For the audit: the id of the key, or `anonymous`. */
  readonly name: string;
  /** For people: the name of the key, or `anonymous`. */
  readonly label: string;
};

export function allows({ scopes }: Caller, scope: Scope): boolean {
  return scopes.includes(scope) || scopes.includes("admin");
}
