/** The time for everything that says how long ago something was: one timer for all of them, none while the tab is hidden. */
import { createContext, type ReactNode, use, useEffect, useMemo, useSyncExternalStore } from "react";
import type { Clock } from "../../clock.ts";

export type Ticker = { read(): number; subscribe(changed: () => void): () => void };

const TICK_MS = 1_000;
const TickerContext = createContext<Ticker | null>(null);

export function NowProvider({ clock, children }: { readonly clock: Clock; readonly children: ReactNode }) {
  const [ticker, run] = useMemo(() => createTicker(clock), [clock]);
  useEffect(() => run(), [run]);
  return <TickerContext value={ticker}>{children}</TickerContext>;
}

/** Milliseconds since 1970, changing once a second. */
export function useNowMs(): number {
  const ticker = use(TickerContext);
  if (ticker === null) throw new Error("expected to be inside NowProvider");
  return useSyncExternalStore(ticker.subscribe, ticker.read);
}

function createTicker(clock: Clock): readonly [Ticker, () => () => void] {
  const listeners = new Set<() => void>();
  let nowMs = clock.wallMs();
  const tick = () => {
    if (document.hidden) return;
    nowMs = clock.wallMs();
    for (const changed of listeners) changed();
  };
  const ticker: Ticker = {
    read: () => nowMs,
    subscribe(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
  };
  const run = () => {
    const timer = setInterval(tick, TICK_MS);
    document.addEventListener("visibilitychange", tick);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  };
  return [ticker, run];
}
