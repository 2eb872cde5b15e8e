/** `taskiq-aws run start`: starts a run of a job or of a graph, and with `--watch` follows it to its end. */
import type { NewRun } from "../client/runs.ts";
import { TaskiqError } from "../errors.ts";
import type { RunMode } from "../model/graph.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { readInput } from "./input.ts";
import { watchRun } from "./run-watch.ts";
import type { Screen } from "./screen.ts";

export type RunStartOptions = {
  readonly url: string;
  /** A file with a graph, or `-`. */
  readonly graph?: string;
  readonly input?: string;
  readonly watch?: true;
  readonly mode?: RunMode;
  readonly priority?: number;
  readonly label?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  readonly json?: true;
};

export async function startRun(job: string | undefined, options: RunStartOptions, screen: Screen): Promise<ExitCode> {
  const { url, watch, mode, priority, label, idempotencyKey, json } = options;
  const client = openClient(url);
  const input = await readInput(options.input, process.stdin);
  const settings = {
    ...(input !== undefined && { input }),
    ...(mode !== undefined && { mode }),
    ...(priority !== undefined && { priority }),
    ...(label !== undefined && { labels: label }),
  };
  const run: NewRun = { ...settings, ...(await whatToRun(job, options)) };
  const { runId } = await client.runs.start(run, idempotencyKey === undefined ? {} : { idempotencyKey });
  if (watch === true) return await watchRun(client, runId, screen, json === true);
  tellStarted(runId, json === true, screen);
  return EXIT.ok;
}

export function tellStarted(runId: string, json: boolean, screen: Screen): void {
  screen.out.line(json ? JSON.stringify({ run_id: runId, state: "running" }) : runId);
  if (screen.notes.isTerminal) screen.notes.line(`To follow it:\n  taskiq-aws run watch ${runId}`);
}

async function whatToRun(job: string | undefined, { graph, input }: RunStartOptions): Promise<NewRun> {
  if ((job === undefined) === (graph === undefined)) {
    const got = job === undefined ? "neither" : "both";
    throw new TaskiqError("request_invalid", `run start: expected the name of a job or --graph, got ${got}.`);
  }
  if (job !== undefined) return { job };
  if (graph === "-" && input === "-") {
    throw new TaskiqError(
      "request_invalid",
      "run start: expected one of --graph and --input from standard input, got both.",
    );
  }
  const text = await readInput(graph === "-" ? "-" : `@${graph}`, process.stdin);
  // An argument is given.
  if (text === undefined) throw new Error("expected a graph");
  return { graph: text };
}
