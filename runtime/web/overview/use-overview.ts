/** How the deployment does, told by the API every few seconds to a page that can be seen. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Overview } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { useVisible } from "../api/use-visible.ts";

/** Before a stream that the API refused is asked for again. */
const PAUSE_MS = 5_000;
const KEY = ["overview"];

export type LiveOverview = {
  readonly overview: Overview | undefined;
  readonly error: unknown;
  /** The API has lost its database. */
  readonly isAway: boolean;
  readonly retry: () => void;
};

export function useOverview(): LiveOverview {
  const { client, clock } = useApi();
  const queries = useQueryClient();
  const isVisible = useVisible();
  const [isAway, setAway] = useState(false);
  // What the stream tells is kept here, so that a page that comes back has something to show. Asked for only where there is no stream.
  const { data, error, refetch } = useQuery({
    queryKey: KEY,
    queryFn: () => client.overview(),
    enabled: false,
  });

  useEffect(() => {
    if (!isVisible) return;
    const leaving = new AbortController();
    const { signal } = leaving;
    const follow = async () => {
      while (!signal.aborted) {
        try {
          for await (const event of client.live({ signal })) {
            setAway(event.kind === "away");
            if (event.kind === "overview") queries.setQueryData<Overview>(KEY, event.overview);
          }
        } catch {
          if (!signal.aborted) await refetch();
        }
        await clock.after(PAUSE_MS, signal);
      }
    };
    follow().catch(() => {});
    return () => leaving.abort();
  }, [client, clock, queries, isVisible, refetch]);

  return { overview: data, error, isAway, retry: () => void refetch() };
}
