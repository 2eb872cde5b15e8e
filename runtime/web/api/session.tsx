/** Who looks at the dashboard, and what the key allows. */
import { useQuery } from "@tanstack/react-query";
import { createContext, type ReactNode, use } from "react";
import type { Session } from "../../client/index.ts";
import { useApi } from "./api-provider.tsx";
import { refusalOf, type Scope } from "./refusal.ts";

/** How often a page that stays open looks whether its key still holds. */
const CHECK_MS = 60_000;

const SessionContext = createContext<Session | null>(null);

export function SessionProvider({ session, children }: { readonly session: Session; readonly children: ReactNode }) {
  return <SessionContext value={session}>{children}</SessionContext>;
}

export function useSession(): Session {
  const session = use(SessionContext);
  if (session === null) throw new Error("expected to be inside SessionProvider");
  return session;
}

export function useSessionQuery() {
  const { client } = useApi();
  return useQuery({ queryKey: ["session"], queryFn: () => client.session(), refetchInterval: CHECK_MS });
}

/** Why the key does not allow something, as a sentence; null: it does. `home`: it takes a key of the operators' tenant. */
export function useRefusal(scope: Scope | null, home = false): string | null {
  return refusalOf(useSession(), scope, home);
}
