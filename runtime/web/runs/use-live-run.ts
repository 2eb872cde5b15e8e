/**
 * A run with its steps, live: its graph is read once, and everything that happens to it comes as events, from its beginning. Events are taken once
 * per frame, however many came. A tab that nobody looks at for a while stops listening, and begins anew when it is shown.
 */
import { useEffect, useMemo, useState } from "react";
import { ApiError, type Client, type RunEvent } from "../../client/index.ts";
import type { Clock } from "../../clock.ts";
import type { Graph } from "../../model/graph.ts";
import { useApi } from "../api/api-provider.tsx";
import { type LiveRun, newLiveRun, withEvents } from "./live-run.ts";
import { shapeOf } from "./run-shape.ts";

export type LiveView = {
  readonly run: LiveRun;
  /** All that had happened before the page was opened has come. */
  readonly isCaughtUp: boolean;
  /** Why no events come any more; null: they do, or the run is over. */
  readonly error: unknown;
};

const REFRESH_MS = 1_000;
const HIDDEN_MS = 30_000;
const AGAIN_MS = 5_000;

/** @param onEnd hears that the run is over */
export function useLiveRun(runId: string, graph: Graph, onEnd: () => void): LiveView {
  const { client, clock } = useApi();
  const shape = useMemo(() => shapeOf(graph), [graph]);
  const [view, setView] = useState<LiveView>(() => ({ run: newLiveRun(shape), isCaughtUp: false, error: null }));
  const isShown = useShown();
  useEffect(() => {
    if (!isShown) return;
    const left = new AbortController();
    const batch = createBatch((events) =>
      setView(({ run }) => ({ run: withEvents(run, events), isCaughtUp: true, error: null })),
    );
    const fail = (error: unknown) => setView(({ run }) => ({ run, isCaughtUp: true, error }));
    void follow(runId, { client, clock, left: left.signal, take: batch.take, fail, onEnd });
    return () => {
      left.abort();
      batch.drop();
    };
  }, [runId, client, clock, isShown, onEnd]);
  return view;
}

type FollowParts = {
  readonly client: Client;
  readonly clock: Clock;
  readonly left: AbortSignal;
  readonly take: (event: RunEvent) => void;
  readonly fail: (error: unknown) => void;
  readonly onEnd: () => void;
};

/** Until the run is over, or the page is left. An API that is away for longer than the client waits is asked again. */
async function follow(runId: string, { client, clock, left, take, fail, onEnd }: FollowParts): Promise<void> {
  while (!left.aborted) {
    try {
      for await (const event of client.runs.watch(runId, { signal: left, refreshMs: REFRESH_MS })) {
        take(event);
        if (event.kind === "run" && event.state !== "running") onEnd();
      }
      return;
    } catch (error) {
      if (left.aborted) return;
      fail(error);
      // It has been deleted, or the key does not allow it any more.
      if (error instanceof ApiError && error.status !== null && error.status < 500 && error.status !== 429) return;
      await clock.after(AGAIN_MS, left).catch(() => {});
    }
  }
}

/** Collects events until the next frame. */
function createBatch(flush: (events: readonly RunEvent[]) => void) {
  let events: RunEvent[] = [];
  let frame: number | null = null;
  return {
    take(event: RunEvent) {
      events.push(event);
      frame ??= requestAnimationFrame(() => {
        const taken = events;
        events = [];
        frame = null;
        flush(taken);
      });
    },
    drop() {
      if (frame !== null) cancelAnimationFrame(frame);
    },
  };
}

/** False once the tab has been hidden for a while. */
function useShown(): boolean {
  const [isShown, setShown] = useState(true);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      clearTimeout(timer);
      if (document.hidden) timer = setTimeout(() => setShown(false), HIDDEN_MS);
      else setShown(true);
    };
    document.addEventListener("visibilitychange", look);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
  return isShown;
}
