/** What the demo says once everything runs: where it is reached, and commands to copy. */

import { styleText } from "node:util";
import { tableLines } from "./cli/table.ts";
import { JOBS } from "./tasks/index.ts";

export type Welcome = {
  readonly baseUrl: string;
  /** Of the stack below it. */
  readonly parts: readonly { readonly name: string; readonly where: string }[];
  readonly workers: number;
  /** Of each worker. */
  readonly slots: number;
  readonly startedInMs: number;
};

/** Where the command line looks for an API by itself. */
const DEFAULT_URL = "http://127.0.0.1:8080";
const JSON_BODY = "-H 'content-type: application/json'";

/** On a terminal of 80 columns and 24 lines all of it can be seen, and copied without breaks. */
export function welcomeLines({ baseUrl, parts, workers, slots, startedInMs }: Welcome): string[] {
  const url = baseUrl === DEFAULT_URL ? "" : ` --url ${baseUrl}`;
  const places = [
    ["dashboard", `${baseUrl}/`],
    ["API reference", `${baseUrl}/docs`],
    ["health", `${baseUrl}/health`],
    ...parts.map(({ name, where }) => [name, where]),
  ];
  const seconds = (startedInMs / 1_000).toFixed(1);
  return [
    "",
    bold(`taskiq-aws runs (started in ${seconds} s): one API, ${workers} workers with ${slots} slots each`),
    ...tableLines(places).map((line) => `  ${line}`),
    "",
    bold("Submit a task, and look at it"),
    `  curl -s ${baseUrl}/tasks ${JSON_BODY} \\`,
    `    -d '{"duration_seconds": 3}'`,
    `  curl -s ${baseUrl}/tasks/<task_id>`,
    ...command(`task run sleep '{"duration_seconds": 3}' --wait`, url),
    "",
    bold(`Start a job (${JOBS.map(({ name }) => name).join(", ")} at 02:00), and watch its steps`),
    ...command("run start etl --watch", url),
    ...command(`run start diamond --input '{"step_ms": 500}' --watch`, url),
    `  curl -s ${baseUrl}/v1/runs ${JSON_BODY} \\`,
    `    -d '{"job": "etl", "input": {"files": 40}}'`,
    `  curl -sN ${baseUrl}/v1/runs/<run_id>/events`,
    "",
    "Ctrl-C stops everything. kill -9 a worker, and its tasks go on elsewhere:",
    "",
  ];
}

/** On two lines where it would be too long for one. */
function command(text: string, url: string): string[] {
  const start = `  npx taskiq-aws ${text}`;
  return `${start}${url}`.length <= 80 ? [`${start}${url}`] : [`${start} \\`, `   ${url}`];
}

function bold(text: string): string {
  return styleText("bold", text);
}
