/** The client of the API for every component, made anew when the key changes. */
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createContext, type ReactNode, use, useMemo, useState } from "react";
import { ApiError, type Client, createClient } from "../../client/index.ts";
import type { Clock } from "../../clock.ts";
import type { Connection } from "./connection.ts";
import type { KeyStore } from "./key-store.ts";
import { watchedFetch } from "./watched-fetch.ts";

export type Api = {
  readonly client: Client;
  readonly clock: Clock;
  readonly connection: Connection;
  /** Whether this tab has a key. */
  readonly hasKey: boolean;
  /** From now on, for all requests. */
  useKey(key: string): void;
  forgetKey(): void;
};

export type ApiProviderProps = {
  readonly keys: KeyStore;
  readonly clock: Clock;
  readonly connection: Connection;
  readonly children: ReactNode;
};

/** A page that comes back within this time shows what it had. */
const KEPT_MS = 60_000;
const TRIES = 3;

const ApiContext = createContext<Api | null>(null);

export function ApiProvider({ keys, clock, connection, children }: ApiProviderProps) {
  const [{ key, turn }, setKey] = useState(() => ({ key: keys.read(), turn: 0 }));
  const api = useMemo((): Api => {
    const fetch = watchedFetch({ fetch: globalThis.fetch.bind(globalThis), clock, onReached: connection.tell });
    const client = createClient({ baseUrl: baseUrl(), fetch, clock, maxAttempts: TRIES, ...(key && { apiKey: key }) });
    return {
      client,
      clock,
      connection,
      hasKey: key !== null,
      useKey(next) {
        keys.keep(next);
        setKey(({ turn: last }) => ({ key: next, turn: last + 1 }));
      },
      forgetKey() {
        keys.forget();
        setKey(({ turn: last }) => ({ key: null, turn: last + 1 }));
      },
    };
  }, [key, keys, clock, connection]);
  // Nothing that one key has seen is shown to another, also when it is the same key given again: everything below begins anew.
  // biome-ignore lint/correctness/useExhaustiveDependencies: made anew with each turn
  const queries = useMemo(createQueries, [turn]);
  return (
    <ApiContext value={api}>
      <QueryClientProvider key={turn} client={queries}>
        {children}
      </QueryClientProvider>
    </ApiContext>
  );
}

export function useApi(): Api {
  const api = use(ApiContext);
  if (api === null) throw new Error("expected to be inside ApiProvider");
  return api;
}

function createQueries(): QueryClient {
  const queries: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onError(error, query) {
        // A key that was revoked while the page is open: the session finds out, and asks for another.
        const isRefused = error instanceof ApiError && error.status === 401;
        if (isRefused && query.queryKey[0] !== "session") void queries.invalidateQueries({ queryKey: ["session"] });
      },
    }),
    // The client itself repeats what may pass.
    defaultOptions: {
      queries: { retry: false, gcTime: KEPT_MS, networkMode: "always" },
      mutations: { networkMode: "always" },
    },
  });
  return queries;
}

/** The API may stand behind a path. */
function baseUrl(): string {
  return new URL(".", location.href.replace(/[?#].*$/, "")).href;
}
