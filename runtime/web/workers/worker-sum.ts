/** The workers together. Pure. */
import type { Worker } from "../../client/index.ts";

export type WorkerSum = {
  readonly alive: number;
  readonly draining: number;
  readonly lost: number;
  /** Of those that are not lost. */
  readonly slots: number;
  readonly running: number;
  readonly versions: readonly string[];
};

export function sumOf(workers: readonly Worker[]): WorkerSum {
  const of = (state: Worker["state"]) => workers.filter((worker) => worker.state === state).length;
  const there = workers.filter(({ state }) => state !== "lost");
  return {
    alive: of("alive"),
    draining: of("draining"),
    lost: of("lost"),
    slots: there.reduce((sum, { slots }) => sum + slots, 0),
    running: there.reduce((sum, { running }) => sum + running, 0),
    versions: [...new Set(there.map(({ version }) => version))].toSorted(),
  };
}

export function workerHref(name: string): string {
  return `/workers/${encodeURIComponent(name)}`;
}
