/** Ending a child process: ask, insist, force. Each step has its time, so stopping always ends. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { systemClock } from "../clock.ts";

export type EndStep = { readonly signal: NodeJS.Signals; readonly waitMs: number };

/** True once the process is gone, or could not be started in the first place. */
export function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** Sends the signals in turn until the process is gone. SIGKILL should be the last of them. */
export async function endProcess(child: ChildProcess, steps: readonly EndStep[]): Promise<void> {
  if (hasEnded(child)) return;
  const waiting = new AbortController();
  // A child that this process does not wait for must be waited for now.
  child.ref();
  const ended = once(child, "exit").then(() => waiting.abort());
  for (const { signal, waitMs } of steps) {
    child.kill(signal);
    await systemClock.after(waitMs, waiting.signal).catch(() => {});
    if (hasEnded(child)) break;
  }
  await ended;
}
