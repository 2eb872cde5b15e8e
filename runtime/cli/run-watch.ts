/** `taskiq-aws run watch`, and what `--watch` does: a run before the eyes of a user, who may leave. The run does not notice. */
import type { Client } from "../client/client.ts";
import type { Run } from "../client/run.ts";
import { systemClock } from "../clock.ts";
import { memberTexts } from "../wire/json-text.ts";
import { openClient } from "./api-client.ts";
import { type ExitCode, exitCodeOfState } from "./exit-code.ts";
import { styleOf } from "./progress.ts";
import { SIGNS } from "./run-drawing.ts";
import { watchProgress } from "./run-progress.ts";
import { startRunView } from "./run-view.ts";
import type { Paper, Screen } from "./screen.ts";
import { duration, oneLine } from "./text.ts";
import { Interrupted } from "./watch.ts";

export type RunWatchOptions = { readonly url: string; readonly json?: true };

export async function watchRunCommand(id: string, { url, json }: RunWatchOptions, screen: Screen): Promise<ExitCode> {
  return await watchRun(openClient(url), id, screen, json === true);
}

/** To its end. Its result goes to standard output, with `json` its events. Throws Interrupted, and what `client.runs` throws. */
export async function watchRun(client: Client, id: string, screen: Screen, json: boolean): Promise<ExitCode> {
  const [run, { graph, edges }] = await Promise.all([client.runs.get(id, { steps: 0 }), client.runs.graph(id)]);
  const progress = watchProgress(graph, edges, run.mode);
  const leaving = new AbortController();
  const interrupt = (): void =>
    leaving.abort(new Interrupted(`The run goes on. To look again:\n  taskiq-aws run watch ${id}`));
  process.once("SIGINT", interrupt);
  screen.notes.line(`${screen.notes.style("bold", oneLine(run.job ?? "run of a graph"))} ${run.runId}`);
  const keptBefore = run.parentRunId === null ? null : run.createdAt;
  const view = startRunView(progress, { paper: screen.notes, clock: systemClock, keptBefore });
  try {
    for await (const event of client.runs.watch(id, { signal: leaving.signal, onAway: view.away })) {
      if (json) screen.out.line(JSON.stringify(event));
      progress.apply(event);
      view.tell(event);
    }
  } finally {
    view.end();
    process.off("SIGINT", interrupt);
  }
  const done = await client.runs.get(id, { steps: 0 });
  screen.notes.line(describeRunEnd(done, screen.notes));
  if (!json) tellResult(done, screen);
  return exitCodeOfState(done.state);
}

/** `✔ succeeded · 40 steps · ran 3.2 s`. */
function describeRunEnd(run: Run, paper: Paper): string {
  const { state, counts, createdAt, finishedAt, error } = run;
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const parts = [
    `${all} ${all === 1 ? "step" : "steps"}`,
    ...(["failed", "cancelled", "skipped"] as const).flatMap((one) =>
      counts[one] > 0 ? [`${counts[one]} ${one}`] : [],
    ),
    ...(finishedAt === null ? [] : [`took ${duration(Number(finishedAt) - Number(createdAt))}`]),
  ];
  const why = error === null ? "" : `\n  ${oneLine(`${error.code}: ${error.message}`)}`;
  return `${paper.style(styleOf(run), `${SIGNS[state]} ${state}`)} · ${parts.join(" · ")}${why}`;
}

function tellResult(run: Run, screen: Screen): void {
  if (run.state !== "succeeded") return;
  if (run.resultTooLarge) {
    screen.notes.line(
      "The result is too large for one answer; those of the steps are at their tasks: taskiq-aws task show.",
    );
    return;
  }
  // The exact text: a number that JavaScript would round stays as the handlers returned it.
  screen.out.line(memberTexts(run.json).get("result") ?? "null");
}
