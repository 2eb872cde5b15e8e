/** The input of a task: on the command line, or where it is too long for that, from a file or a pipe. */
import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import { JsonText } from "../client/task-request.ts";
import { TaskiqError } from "../errors.ts";

const SHOWN_CHARACTERS = 60;

/**
 * `argument`: JSON, `@path` of a file with JSON, or `-` for JSON from `stdin`; undefined: no input.
 * Throws TaskiqError `request_invalid`.
 */
export async function readInput(
  argument: string | undefined,
  stdin: NodeJS.ReadableStream,
): Promise<JsonText | undefined> {
  if (argument === undefined) return undefined;
  if (argument === "-") return parse(await readAll(stdin), "standard input");
  if (argument.startsWith("@")) return parse(await readInputFile(argument.slice(1)), argument.slice(1));
  return parse(argument, null);
}

async function readInputFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TaskiqError("request_invalid", `input-json: expected a file after "@", got: ${reason}.`, { cause });
  }
}

function parse(text: string, where: string | null): JsonText {
  try {
    return new JsonText(text);
  } catch (cause) {
    const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
    const advice = where === null ? ` Put it in single quotes: '{"duration_seconds": 3}'.` : "";
    const place = where === null ? "" : ` in ${where}`;
    throw new TaskiqError(
      "request_invalid",
      `input-json: expected JSON${place}, got ${JSON.stringify(shown)}.${advice}`,
      { cause },
    );
  }
}
