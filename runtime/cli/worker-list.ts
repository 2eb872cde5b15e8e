/** `taskiq-aws worker list`: who is there, how busy, and who has fallen silent. */
import type { Worker } from "../client/workers.ts";
import { systemClock } from "../clock.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Screen, Style } from "./screen.ts";
import { tableLines } from "./table.ts";
import { duration } from "./text.ts";

export type WorkerListOptions = { readonly url: string; readonly json?: true };

const STYLES = { alive: "green", draining: "yellow", lost: "red" } as const satisfies Record<Worker["state"], Style>;
const HEAD = ["STATE", "NAME", "RUNNING", "QUEUES", "VERSION", "STARTED", "HEARD"];

export async function listWorkers({ url, json }: WorkerListOptions, screen: Screen): Promise<ExitCode> {
  const workers = await openClient(url).workers.list();
  if (json === true) {
    screen.out.line(JSON.stringify(workers));
    return EXIT.ok;
  }
  const nowMs = systemClock.wallMs();
  const columns = screen.out.isTerminal ? Math.max(60, screen.out.columns) : Number.POSITIVE_INFINITY;
  const [head = "", ...lines] = tableLines([HEAD, ...workers.map((worker) => rowOf(worker, nowMs))], columns);
  if (workers.length === 0)
    screen.notes.line("No worker has been heard of for a day. taskiq-aws worker start runs one.");
  else screen.out.line(head);
  for (const [at, line] of lines.entries()) {
    const state = workers[at]?.state ?? "lost";
    screen.out.line(screen.out.style(STYLES[state], line.slice(0, state.length)) + line.slice(state.length));
  }
  return EXIT.ok;
}

function rowOf(worker: Worker, nowMs: number): string[] {
  const { state, name, running, slots, queues, version, revision, startedAt, beatAt } = worker;
  return [
    state,
    name,
    `${running} of ${slots}`,
    queues.join(","),
    revision === null ? version : `${version} (revision ${revision})`,
    `${duration(nowMs - +startedAt)} ago`,
    `${duration(nowMs - +beatAt)} ago`,
  ];
}
