/** What `npm run demo -- --exit` does first: twenty sleep tasks of one to three seconds, followed to their end. */

import type { Client } from "./client/client.ts";
import type { Clock } from "./clock.ts";
import { drawProgress, endProgress } from "./demo-progress.ts";

export type DemoOutcome = {
  readonly succeeded: number;
  readonly count: number;
  readonly elapsedMs: number;
  /** From due to started, sorted, in milliseconds. */
  readonly waitsMs: readonly number[];
};

const FINISHED = new Set(["succeeded", "failed", "cancelled", "skipped"]);

export async function followTasks(
  client: Client,
  options: { readonly count: number; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<DemoOutcome> {
  const { count, clock, signal } = options;
  const startedMs = clock.nowMs();
  const states = new Map<string, string>();
  const waitsMs: number[] = [];
  const follow = async (index: number): Promise<void> => {
    const { taskId } = await client.enqueue("sleep", { duration_seconds: 1 + (index % 5) / 2 });
    states.set(taskId, "queued");
    const task = await client.wait(taskId, {
      signal,
      onUpdate: (update) => {
        states.set(taskId, update.state);
        show(states, count);
      },
    });
    states.set(taskId, task.state);
    if (task.startedAt !== null) waitsMs.push(Math.max(0, task.startedAt.getTime() - task.dueAt.getTime()));
    show(states, count);
  };
  await Promise.allSettled(Array.from({ length: count }, (_, index) => follow(index)));
  endProgress();
  return {
    succeeded: [...states.values()].filter((state) => state === "succeeded").length,
    count,
    elapsedMs: clock.nowMs() - startedMs,
    waitsMs: waitsMs.toSorted((a, b) => a - b),
  };
}

export function summarise({ succeeded, count, elapsedMs, waitsMs }: DemoOutcome): string {
  const seconds = elapsedMs / 1_000;
  const at = (share: number) => waitsMs[Math.min(waitsMs.length - 1, Math.floor(waitsMs.length * share))];
  const wait = (share: number) => (at(share) === undefined ? "-" : `${at(share)} ms`);
  return [
    `${succeeded} of ${count} tasks succeeded in ${seconds.toFixed(1)} s (${(succeeded / seconds).toFixed(1)} tasks/s)`,
    `wait from due to start: p50 ${wait(0.5)}, p99 ${wait(0.99)}`,
  ].join("\n");
}

function show(states: ReadonlyMap<string, string>, count: number): void {
  const of = (wanted: (state: string) => boolean) => [...states.values()].filter(wanted).length;
  const finished = of((state) => FINISHED.has(state));
  const running = of((state) => state === "running");
  drawProgress({ finished, running, queued: count - finished - running });
}
