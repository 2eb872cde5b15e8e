/** What a key does not allow, as a sentence. Pure. */
import type { Session } from "../../client/index.ts";

export type Scope = Session["scopes"][number];

/** Null: it is allowed. @param home it takes a key of the operators' tenant */
export function refusalOf(
  session: Pick<Session, "scopes" | "home">,
  scope: Scope | null,
  home: boolean,
): string | null {
  const { scopes } = session;
  if (scope !== null && !scopes.includes(scope) && !scopes.includes("admin")) {
    return `This needs a key with the scope ${scope}; yours has ${scopes.length === 0 ? "none" : scopes.join(", ")}.`;
  }
  return home && !session.home ? "This concerns all tenants: it needs a key of the tenant default." : null;
}
