/** `taskiq-aws job`: the jobs that the deployment knows. */
import type { Job } from "../client/jobs.ts";
import { referencesOf } from "../model/template.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Paper, Screen } from "./screen.ts";
import { tableLines } from "./table.ts";
import { oneLine } from "./text.ts";

export type JobOptions = { readonly url: string; readonly json?: true };

const HEAD = ["NAME", "STEPS", "MODE", "DESCRIPTION"];

export async function listJobs({ url, json }: JobOptions, screen: Screen): Promise<ExitCode> {
  const jobs = await openClient(url).jobs.list();
  if (json === true) {
    screen.out.line(JSON.stringify(jobs));
    return EXIT.ok;
  }
  const columns = screen.out.isTerminal ? Math.max(60, screen.out.columns) : Number.POSITIVE_INFINITY;
  const rows = jobs.map(({ name, stepCount, mode, description }) => [name, String(stepCount), mode, description ?? ""]);
  if (jobs.length === 0) screen.notes.line("No job is defined. One is exported from a module in TASKIQ_TASK_MODULES.");
  else for (const line of tableLines([HEAD, ...rows], columns)) screen.out.line(line);
  return EXIT.ok;
}

export async function showJob(name: string, { url, json }: JobOptions, screen: Screen): Promise<ExitCode> {
  const job = await openClient(url).jobs.get(name);
  if (json === true) screen.out.line(job.json);
  else for (const line of jobLines(job, screen.out)) screen.out.line(line);
  return EXIT.ok;
}

function jobLines(job: Job, paper: Paper): string[] {
  const columns = paper.isTerminal ? Math.max(40, paper.columns) : Number.POSITIVE_INFINITY;
  const steps = job.graph.steps.map(({ key, task, after = [], input, map, when }) => {
    const before = new Set([...after, ...[input, map, when].flatMap(referencesOf).map(({ step }) => step)]);
    return [
      key,
      map === undefined ? task : `${task} for each`,
      before.size === 0 ? "" : `after ${[...before].join(", ")}`,
    ];
  });
  return [
    paper.style("bold", oneLine(job.name)),
    ...(job.description === null ? [] : [`  ${oneLine(job.description)}`]),
    `  ${paper.style("dim", "mode ")} ${job.mode}`,
    `  ${paper.style("dim", "input")} ${JSON.stringify(job.inputSchema)}`,
    "",
    ...tableLines(steps, columns - 2).map((line) => `  ${line}`),
  ];
}
