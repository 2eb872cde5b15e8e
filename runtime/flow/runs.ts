/** What the API does with runs. */

import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import type { RunRequest } from "./prepare-run.ts";
import { type ReexecuteOptions, reexecuteRun } from "./reexecute-run.ts";
import type { RunAccepted, RunOptions, RunWriter } from "./submit-run.ts";

export type RunSubmitter = {
  submit(request: RunRequest, options: RunOptions): Promise<RunAccepted>;
  reexecute(runId: string, options: ReexecuteOptions): Promise<RunAccepted>;
  /** Resolves when every submission taken so far is answered. */
  idle(): Promise<void>;
};

export function createRunSubmitter(parts: {
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly writer: RunWriter;
}): RunSubmitter {
  const { writer } = parts;
  return {
    submit: (request, options) => writer.accept(request, options),
    reexecute: (runId, options) => reexecuteRun(runId, options, parts),
    idle: writer.idle,
  };
}
