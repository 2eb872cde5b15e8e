/** `taskiq-aws run cancel`, `run resume` and `run reexecute`. */
import type { StepChoice } from "../client/runs.ts";
import { TaskiqError } from "../errors.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { tellStarted } from "./run-start.ts";
import { watchRun } from "./run-watch.ts";
import type { Screen } from "./screen.ts";

export type RunCancelOptions = { readonly url: string; readonly reason?: string; readonly json?: true };
export type RunResumeOptions = { readonly url: string; readonly json?: true };
export type RunReexecuteOptions = {
  readonly url: string;
  readonly fromFailure?: true;
  readonly all?: true;
  readonly steps?: readonly string[];
  readonly watch?: true;
  readonly idempotencyKey?: string;
  readonly json?: true;
};

export async function cancelRun(
  id: string,
  { url, reason, json }: RunCancelOptions,
  screen: Screen,
): Promise<ExitCode> {
  const { state } = await openClient(url).runs.cancel(id, reason === undefined ? {} : { reason });
  const text = state === "running" ? `Run ${id} is being stopped: some of its steps run.` : `Run ${id} is ${state}.`;
  screen.out.line(json === true ? JSON.stringify({ run_id: id, state }) : text);
  return EXIT.ok;
}

export async function resumeRun(id: string, { url, json }: RunResumeOptions, screen: Screen): Promise<ExitCode> {
  const { state, rung } = await openClient(url).runs.resume(id);
  const text =
    state === "running"
      ? `Run ${id} is ${state}; rang for ${rung} ${rung === 1 ? "step that waits" : "steps that wait"}.`
      : `Run ${id} is ${state}: there is nothing to resume. taskiq-aws run reexecute runs it again.`;
  screen.out.line(json === true ? JSON.stringify({ run_id: id, state, rung }) : text);
  return EXIT.ok;
}

export async function reexecuteRun(id: string, options: RunReexecuteOptions, screen: Screen): Promise<ExitCode> {
  const { url, watch, idempotencyKey, json } = options;
  const client = openClient(url);
  const { runId } = await client.runs.reexecute(id, {
    steps: choiceOf(options),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  });
  if (watch === true) return await watchRun(client, runId, screen, json === true);
  tellStarted(runId, json === true, screen);
  return EXIT.ok;
}

function choiceOf({ fromFailure, all, steps }: RunReexecuteOptions): StepChoice {
  const given: StepChoice[] = [
    ...(fromFailure === true ? ["from_failure" as const] : []),
    ...(all === true ? ["all" as const] : []),
    ...(steps === undefined ? [] : [steps]),
  ];
  const [choice] = given;
  if (choice !== undefined && given.length === 1) return choice;
  const got = choice === undefined ? "none of them" : "several";
  throw new TaskiqError(
    "request_invalid",
    `run reexecute: expected one of --from-failure, --steps and --all, got ${got}.`,
  );
}
