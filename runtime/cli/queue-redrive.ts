/** `taskiq-aws queue redrive`: puts the dead letters of a queue back to work, before the eyes of who asked for it. */
import type { Queues, RedriveReport } from "../client/queues.ts";
import { systemClock } from "../clock.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Paper, Screen } from "./screen.ts";
import { duration, oneLine } from "./text.ts";
import { Interrupted } from "./watch.ts";

export type QueueRedriveOptions = {
  readonly url: string;
  readonly dryRun?: true;
  readonly limit?: number;
  readonly rate: number;
  readonly discardPoison?: true;
  readonly json?: true;
};

export async function redriveQueue(name: string, options: QueueRedriveOptions, screen: Screen): Promise<ExitCode> {
  const { url, json, dryRun } = options;
  const { queues } = openClient(url);
  const report = dryRun === true ? await queues.foreseeRedrive(name) : await watched(name, queues, options, screen);
  if (json === true) screen.out.line(jsonOf(name, report, dryRun === true));
  else for (const line of describe(report, dryRun === true)) screen.out.line(line);
  if (!report.done && dryRun === true) {
    screen.notes.line("There is more in the dead-letter queue than was looked at.");
  }
  if (report.poison > 0 && dryRun !== true && json !== true) {
    screen.notes.line("To delete what no task can come of: --discard-poison");
  }
  return EXIT.ok;
}

/** Ends with Ctrl-C at once: what was put back stays put back, and the rest is still there. */
async function watched(
  name: string,
  queues: Queues,
  { limit, rate, discardPoison }: QueueRedriveOptions,
  { notes }: Screen,
): Promise<RedriveReport> {
  const leaving = new AbortController();
  let soFar: RedriveReport | undefined;
  const interrupt = (): void => {
    const came = soFar === undefined ? "nothing yet" : summary(soFar);
    leaving.abort(new Interrupted(`Stopped; ${came}. To go on, ask again.`));
  };
  process.once("SIGINT", interrupt);
  const startedMs = systemClock.nowMs();
  try {
    return await queues.redrive(name, {
      ratePerSecond: rate,
      discardPoison: discardPoison === true,
      signal: leaving.signal,
      ...(limit !== undefined && { limit }),
      onUpdate(report) {
        soFar = report;
        if (!report.done) show(`${summary(report)} · ${duration(systemClock.nowMs() - startedMs)}`, notes);
      },
    });
  } finally {
    if (notes.isTerminal) notes.redraw("");
    process.off("SIGINT", interrupt);
  }
}

function show(line: string, notes: Paper): void {
  if (notes.isTerminal) notes.redraw(line);
  else notes.line(line);
}

function summary({ redriven, rung, deleted, discarded, poison, failedAgain, others }: RedriveReport): string {
  return [
    `${redriven} redriven`,
    rung > 0 ? `${rung} rung again` : "",
    deleted > 0 ? `${deleted} needed nothing` : "",
    discarded > 0 ? `${discarded} discarded` : "",
    poison > 0 ? `${poison} poison left` : "",
    failedAgain > 0 ? `${failedAgain} failed again` : "",
    others > 0 ? `${others} of others left` : "",
  ]
    .filter((part) => part !== "")
    .join(" · ");
}

function describe(report: RedriveReport, isDryRun: boolean): string[] {
  const width = Math.max(0, ...report.tasks.map(({ count }) => String(count).length));
  return [
    `${isDryRun ? "Would be: " : ""}${summary(report)}`,
    ...report.tasks.map(({ task, reason, count }) => {
      const what = task === null ? "no task" : oneLine(task);
      return `  ${String(count).padStart(width)}  ${what}  ${oneLine(reason)}`;
    }),
  ];
}

function jsonOf(queue: string, report: RedriveReport, dryRun: boolean): string {
  const { redriven, rung, deleted, discarded, poison, failedAgain, others, tasks, beganAt, done } = report;
  const counts = { redriven, rung, deleted, discarded, poison, failed_again: failedAgain, others };
  return JSON.stringify({ queue, dry_run: dryRun, ...counts, tasks, began_at: beganAt, done });
}
