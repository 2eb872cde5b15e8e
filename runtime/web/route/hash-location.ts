/**
 * Where the page is, in the fragment of the address: `#/tasks?state=failed`. The paths themselves belong to the API (`/tasks/{id}` is one of its
 * routes), and what stands behind `#` is never sent to a server.
 */
import { useSyncExternalStore } from "react";

export type Place = { readonly path: string; readonly search: string };

type NavigateOptions = { readonly replace?: boolean };

/** The place that a fragment names. `search` has no question mark. */
export function placeOf(hash: string): Place {
  const text = hash.replace(/^#/, "");
  const at = text.indexOf("?");
  const path = at < 0 ? text : text.slice(0, at);
  return { path: path.startsWith("/") ? path : `/${path}`, search: at < 0 ? "" : text.slice(at + 1) };
}

/** `?tab=result` changes the search of the place only. */
export function hashFor(to: string, current: Place): string {
  const target = to.startsWith("?") ? `${current.path}${to === "?" ? "" : to}` : to;
  return `#${target.startsWith("/") ? target : `/${target}`}`;
}

/** Goes there. `replace`: without an entry of its own in the history. */
export function navigate(to: string, { replace = false }: NavigateOptions = {}): void {
  const hash = hashFor(to, placeOf(location.hash));
  if (hash === location.hash) return;
  const before = location.href;
  history[replace ? "replaceState" : "pushState"](null, "", hash);
  // Changes of the history by a script are told to nobody.
  dispatchEvent(new HashChangeEvent("hashchange", { oldURL: before, newURL: location.href }));
}

export const useHashLocation = Object.assign(
  (): [string, typeof navigate] => [useHash(() => currentPath()), navigate],
  {
    hrefs: (href: string) => hashFor(href, placeOf(location.hash)),
  },
);

export function useHashSearch(): string {
  return useHash(() => placeOf(location.hash).search);
}

function currentPath(): string {
  return placeOf(location.hash).path;
}

function useHash(read: () => string): string {
  return useSyncExternalStore(subscribe, read);
}

function subscribe(changed: () => void): () => void {
  addEventListener("hashchange", changed);
  addEventListener("popstate", changed);
  return () => {
    removeEventListener("hashchange", changed);
    removeEventListener("popstate", changed);
  };
}
