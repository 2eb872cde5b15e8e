/**
 * A look at the API that is repeated while somebody can see the page: every five seconds, not at all in a hidden tab, and at once when it is shown
 * again. What was there stays until the next answer has come.
 */
import { keepPreviousData, type QueryKey, useQuery } from "@tanstack/react-query";

export const REFRESH_MS = 5_000;

export type PolledOptions<T> = {
  readonly key: QueryKey;
  readonly look: () => Promise<T>;
  /** Default 5,000 ms; false: it does not change by itself. */
  readonly everyMs?: number | false;
  readonly enabled?: boolean;
  /** Show what another key of this query had until the answer has come. Default false. */
  readonly keep?: boolean;
};

export function usePolled<T>({ key, look, everyMs = REFRESH_MS, enabled = true, keep = false }: PolledOptions<T>) {
  return useQuery({
    queryKey: key,
    queryFn: look,
    enabled,
    refetchInterval: everyMs,
    ...(keep && { placeholderData: keepPreviousData }),
  });
}
