/** Tells the user why a command did not do what it was asked for. */
import { ApiError } from "../client/api-error.ts";
import { describeError } from "../describe-error.ts";
import { TaskiqError } from "../errors.ts";
import { EXIT, type ExitCode, exitCodeOfError } from "./exit-code.ts";
import type { Screen } from "./screen.ts";
import { oneLine } from "./text.ts";
import { Interrupted } from "./watch.ts";

/** Writes the error, with `json` also as an object to standard output; returns the exit code. */
export function reportError(error: unknown, screen: Screen, { json }: { json: boolean }): ExitCode {
  if (error instanceof Interrupted) {
    screen.notes.line(error.message);
    return EXIT.interrupted;
  }
  const [first = "", ...rest] = linesOf(error);
  screen.notes.line(`${screen.notes.style("red", "taskiq-aws:")} ${first}`);
  for (const line of rest) screen.notes.line(`  ${line}`);
  if (json) screen.out.line(JSON.stringify({ error: jsonOf(error) }));
  return exitCodeOfError(error);
}

function linesOf(error: unknown): string[] {
  if (error instanceof ApiError || error instanceof TaskiqError) return error.message.split("\n").map(oneLine);
  const { stack, message } = describeError(error);
  return ["unexpected error; please report it:", ...(stack ?? message).split("\n")];
}

function jsonOf(error: unknown): object {
  if (error instanceof ApiError) {
    const { code, status, detail, issues, requestId } = error;
    return { code, status, detail, issues, request_id: requestId };
  }
  const { message, code } = describeError(error);
  return { code: error instanceof TaskiqError ? error.code : (code ?? "internal"), status: null, detail: message };
}
