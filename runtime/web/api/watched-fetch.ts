/**
 * `fetch` for the client, which tells whether the API is there, and marks looks that may share one answer: what a page asks for again and again.
 * A look shortly after an action of this page has to show what the action did, so it is not shared.
 */
import type { Clock } from "../../clock.ts";

export type WatchedFetchParts = {
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  /** Hears of every answer and every break. */
  readonly onReached: (isReached: boolean) => void;
};

/** A shared answer may be two seconds old. */
const OWN_LOOK_MS = 3_000;
/** What stands before the API says so: it starts, stops, or has no database. */
const AWAY = new Set([502, 503, 504]);

export function watchedFetch({ fetch, clock, onReached }: WatchedFetchParts): typeof globalThis.fetch {
  let actedMs = Number.NEGATIVE_INFINITY;
  let acting = 0;

  async function send(url: string | URL | Request, init?: RequestInit): Promise<Response> {
    try {
      const response = await fetch(url, init);
      onReached(!AWAY.has(response.status));
      return response;
    } catch (error) {
      if (init?.signal?.aborted !== true || isTimeout(init.signal)) onReached(false);
      throw error;
    }
  }

  return async (url, init) => {
    const isLook = (init?.method ?? "GET") === "GET";
    if (isLook) {
      const isOwn = acting > 0 || clock.nowMs() - actedMs < OWN_LOOK_MS;
      if (isOwn) return await send(url, init);
      const headers = new Headers(init?.headers);
      headers.set("x-taskiq-shared", "1");
      return await send(url, { ...init, headers });
    }
    acting += 1;
    try {
      return await send(url, init);
    } finally {
      acting -= 1;
      actedMs = clock.nowMs();
    }
  };
}

function isTimeout(signal: AbortSignal): boolean {
  return signal.reason instanceof DOMException && signal.reason.name === "TimeoutError";
}
