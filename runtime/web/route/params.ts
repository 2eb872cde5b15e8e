/** The part of the address behind the question mark, which holds filters, the selected tab and the like. */
import { useCallback, useMemo } from "react";
import { navigate, placeOf, useHashSearch } from "./hash-location.ts";

export type ParamChanges = Readonly<Record<string, string | readonly string[] | null>>;

/** The parameters, and a function that changes some of them: null takes one away. Typing in a filter makes no history. */
export function useParams(): readonly [URLSearchParams, (changes: ParamChanges) => void] {
  const search = useHashSearch();
  const params = useMemo(() => new URLSearchParams(search), [search]);
  const change = useCallback((changes: ParamChanges) => {
    navigate(`?${changed(new URLSearchParams(placeOf(location.hash).search), changes)}`, { replace: true });
  }, []);
  return [params, change];
}

export function changed(params: URLSearchParams, changes: ParamChanges): URLSearchParams {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const one of value === null ? [] : [value].flat()) if (one !== "") next.append(name, one);
  }
  return next;
}
