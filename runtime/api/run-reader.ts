/** Looks at one run, at once or when it is over. */
import type { ServerResponse } from "node:http";
import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import { healthOf } from "../model/run.ts";
import { encodeJson } from "../payload/json.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database, Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { DOCS } from "./docs.ts";
import type { RunOutlines } from "./run-outline.ts";
import { hasRecord, readRunRecord } from "./run-record.ts";
import { bounded, type RunResult, resultOf } from "./run-result.ts";
import { stepText } from "./run-step-view.ts";
import { countSteps, listSteps } from "./run-steps.ts";
import { type RunRow, runText } from "./run-view.ts";
import type { Waiter } from "./waiter.ts";

export type RunReader = {
  /**
   * The run of this tenant as JSON text with its first `steps` steps; when it is not over, after up to `waitMs`, or as soon as it is.
   * Throws TaskiqError `run_not_found`, and what the payload store throws.
   */
  read(id: string, options: RunReadOptions, response: ServerResponse): Promise<string>;
};

export type RunReadOptions = { readonly tenant: string; readonly steps: number; readonly waitMs: number };

export type RunReaderParts = {
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly outlines: RunOutlines;
  readonly waiter: Waiter;
};

export const RUN_PARAMS = z.object({
  id: z
    .string()
    .regex(/^[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i, "expected the id of a run, a UUID")
    .register(DOCS, { description: "The id of the run: a UUID, with or without its hyphens." }),
});

const READ_RUN = loadSql(import.meta.url, "./read-run.sql");

/** Throws TaskiqError `run_not_found`. */
export async function findRun(database: Queryable, id: string, tenant: string): Promise<RunRow> {
  const [row] = await database.query<RunRow>(READ_RUN, [id, tenant]);
  if (row === undefined) throw runNotFound(id);
  return row;
}

export function runNotFound(id: string): TaskiqError {
  return new TaskiqError(
    "run_not_found",
    `expected the id of a run, got ${id}, which no run has. Finished runs are deleted after the retention time.`,
  );
}

export function createRunReader({ database, payloads, outlines, waiter }: RunReaderParts): RunReader {
  async function textOf(row: RunRow, steps: number): Promise<string> {
    const outline = await outlines.of(row.id);
    const counted = await countSteps(database, row.id);
    const record = hasRecord(row) ? await readRunRecord(row.id, outline, { database, payloads }) : null;
    const counts = record?.counts ?? counted.all;
    const page = await listSteps(
      row,
      outline,
      { of: null, states: null, position: 0, limit: steps },
      { database, payloads },
      { counts: counted, record },
    );
    const input = (row.input_ref === null ? row.input : await payloads.get(row.input_ref)) ?? "null";
    const result = await resultTextOf(row, input, record?.result);
    return runText(row, {
      counts,
      health: healthOf(row.state, counts),
      startedAt: counted.startedAt,
      input,
      result: result.kind === "known" ? result.text : "null",
      resultTooLarge: result.kind === "too_large",
      steps: page.steps.map(stepText),
      stepsCursor: page.next === null ? null : String(page.next),
    });
  }

  async function resultTextOf(row: RunRow, input: string, recorded: unknown): Promise<RunResult> {
    if (row.state !== "succeeded") return { kind: "known", text: "null" };
    if (row.mode === "simple") return bounded(encodeJson(recorded ?? null));
    return await resultOf({ id: row.id, input }, await outlines.of(row.id), { database, payloads });
  }

  return {
    async read(id, { tenant, steps, waitMs }, response) {
      const row = await findRun(database, id, tenant);
      if (waitMs === 0 || row.state !== "running") return await textOf(row, steps);
      const gone = new AbortController();
      // Also when the caller hangs up, which the request itself does not say once it has been read.
      response.once("close", () => gone.abort());
      await waiter.finished(row.id, waitMs, gone.signal);
      return await textOf(gone.signal.aborted ? row : await findRun(database, id, tenant), steps);
    },
  };
}
