/**
 * What happens in a run, as server-sent events made from its rows: there is no table of events. A start, an attempt that came to nothing and an end
 * each have a time in a row, and with it an id that is the same whoever reads it and whenever, so that any process of the API can go on after a
 * broken connection. What has no time of its own (counts, progress) is told as it is now, without an id.
 */
import { mappedKeyOf, type RunState, WHOLE_RUN_KEY } from "../model/run.ts";
import type { TaskState } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { AttemptRow } from "./attempts.ts";
import type { RunOutline, RunOutlines } from "./run-outline.ts";
import { hasRecord, type RunRecord, readRunRecord } from "./run-record.ts";
import { withoutStack } from "./task-view.ts";

export type RunEvent = {
  readonly event: "step" | "progress" | "run";
  /** Null: it tells how something is now, and is told again after a break. */
  readonly id: string | null;
  /** Microseconds since 1970; of one without an id 0. */
  readonly atUs: number;
  /** The text of the event on the wire. */
  readonly text: string;
};

/** What one look at a run has found. */
export type RunLook = {
  readonly nowUs: number;
  /** How the run is, as an event. The last one of a run that is over has an id. */
  readonly run: RunEvent;
  readonly isOver: boolean;
  /** Starts, failed attempts and ends since the time that was asked for, in their order. */
  readonly steps: readonly RunEvent[];
  /** What running steps say of themselves, and how many elements expanded ones have, by task. */
  readonly progress: ReadonlyMap<string, RunEvent>;
};

export type RunEventParts = {
  readonly database: Queryable;
  readonly payloads: PayloadStore;
  readonly outlines: RunOutlines;
};

type PulseRow = {
  readonly id: string;
  readonly state: RunState;
  readonly mode: "orchestrated" | "simple";
  readonly steps: number;
  readonly open_steps: number;
  readonly failed_steps: number;
  readonly cancelled_steps: number;
  readonly skipped_steps: number;
  readonly error: string | null;
  readonly blocked: number;
  readonly queued: number;
  readonly running: number;
  readonly troubled: number;
  readonly finished_us: number | null;
  readonly now_us: number;
};

type ChangeRow = {
  readonly run_id: string;
  readonly id: string;
  readonly step_key: string;
  readonly name: string;
  readonly state: TaskState;
  readonly attempt: number;
  readonly progress: number | null;
  readonly progress_message: string | null;
  readonly elements: number | null;
  readonly error: string | null;
  readonly started_us: number | null;
  readonly finished_us: number | null;
};

type FailedAttemptRow = Pick<ChangeRow, "run_id" | "id" | "step_key" | "name" | "attempt" | "error"> & {
  readonly outcome: AttemptRow["outcome"];
  readonly started_us: number | null;
  readonly ended_us: number;
};

const READ_RUN_PULSE = loadSql(import.meta.url, "./read-run-pulse.sql");
const READ_RUN_CHANGES = loadSql(import.meta.url, "./read-run-changes.sql");
const READ_RUN_ATTEMPTS = loadSql(import.meta.url, "./read-run-attempts.sql");
const EVENT_ID = /^(\d{1,16})\.(?:run|[\w\-*[\]]{1,120}:\d{1,9}:(?:start|attempt|end))$/;

/** The time in the id of an event; undefined: it is none of ours. */
export function timeOfEvent(id: string | undefined): number | undefined {
  const match = EVENT_ID.exec(id ?? "");
  return match === null ? undefined : Number(match[1]);
}

/** The id of the event that ends a run, which it has once it is over. */
export function isEndOfRun(id: string | undefined): boolean {
  return timeOfEvent(id) !== undefined && id?.endsWith(".run") === true;
}

/** Looks at runs, each from a time on, in microseconds since 1970. A run that does not exist is missing. */
export async function lookAtRuns(
  since: ReadonlyMap<string, number>,
  parts: RunEventParts,
): Promise<Map<string, RunLook>> {
  const { database } = parts;
  const times = [[...since.keys()], [...since.values()]];
  // First: what a run that is over by now has come to is then in the rows that are read after it.
  const pulses = await database.query<PulseRow>(READ_RUN_PULSE, [times[0]]);
  const changes = await database.query<ChangeRow>(READ_RUN_CHANGES, times);
  const isTroubled = pulses.some(({ troubled }) => troubled > 0);
  const attempts = isTroubled ? await database.query<FailedAttemptRow>(READ_RUN_ATTEMPTS, times) : [];
  const looks = new Map<string, RunLook>();
  const changesOf = Map.groupBy(changes, ({ run_id }) => run_id);
  const attemptsOf = Map.groupBy(attempts, ({ run_id }) => run_id);
  for (const pulse of pulses) {
    const outline = await parts.outlines.of(pulse.id);
    // One that cannot be read must not keep everybody else from hearing of their runs: this one ends without its steps.
    const record = hasRecord(pulse) ? await readRunRecord(pulse.id, outline, parts).catch(() => null) : null;
    const sinceUs = since.get(pulse.id) ?? 0;
    looks.set(pulse.id, {
      nowUs: pulse.now_us,
      run: runEvent(pulse, record),
      isOver: pulse.state !== "running",
      steps: inOrder(
        [
          ...[
            ...(attemptsOf.get(pulse.id) ?? []).flatMap(eventsOfAttempt),
            ...(changesOf.get(pulse.id) ?? []).flatMap(eventsOfRow),
          ].filter(({ atUs }) => atUs >= sinceUs),
          // Whole: all of it has come to light just now.
          ...(record === null ? [] : eventsOfRecord(record)),
        ],
        outline,
      ),
      progress: new Map((changesOf.get(pulse.id) ?? []).flatMap(progressOf)),
    });
  }
  return looks;
}

/** How the end of an attempt is told that its row and the log of attempts both know: under one id. */
function eventsOfRow(row: ChangeRow): Sortable[] {
  const { started_us: startedUs, finished_us: finishedUs, state, error } = row;
  return [
    ...(startedUs === null ? [] : [stepEvent(row, "start", { atUs: startedUs, state: "running" })]),
    ...(finishedUs === null ? [] : [stepEvent(row, "end", { atUs: finishedUs, state, error: withoutStack(error) })]),
  ];
}

function eventsOfAttempt(row: FailedAttemptRow): Sortable[] {
  const { started_us: startedUs, ended_us: atUs, outcome } = row;
  const error = withoutStack(row.error);
  const start = startedUs === null ? [] : [stepEvent(row, "start", { atUs: startedUs, state: "running" })];
  const state = stateAfter(row);
  if (state === "queued") return [...start, stepEvent(row, "attempt", { atUs, state, outcome, error })];
  return [...start, stepEvent(row, "end", { atUs, state, error })];
}

/** A lost attempt whose task ended with it says why. */
function stateAfter({ outcome, error }: FailedAttemptRow): TaskState {
  switch (outcome) {
    case "retried":
    case "released":
      return "queued";
    case "lost":
      return error === null ? "queued" : "failed";
    case "failed":
    case "cancelled":
      return outcome;
  }
}

function eventsOfRecord({ steps }: RunRecord): Sortable[] {
  return steps.flatMap(({ key, task, attempt, state, error, startedAt, finishedAt }) => {
    const row = { step_key: key, id: null, name: task, attempt };
    return [
      ...(startedAt === null ? [] : [stepEvent(row, "start", { atUs: Number(startedAt) * 1_000, state: "running" })]),
      ...(finishedAt === null
        ? []
        : [stepEvent(row, "end", { atUs: Number(finishedAt) * 1_000, state, error: withoutStack(error) })]),
    ];
  });
}

const CHANGES = ["start", "attempt", "end"] as const;
type Change = (typeof CHANGES)[number];
type Sortable = RunEvent & { readonly id: string; readonly key: string; readonly change: Change };

function stepEvent(
  row: { readonly step_key: string; readonly id: string | null; readonly name: string; readonly attempt: number },
  change: Change,
  what: {
    readonly atUs: number;
    readonly state: TaskState;
    readonly outcome?: string;
    /** JSON text. */
    readonly error?: string | null;
  },
): Sortable {
  const { atUs, state, outcome = null, error = null } = what;
  const id = `${atUs}.${row.step_key}:${row.attempt}:${change}`;
  const members = [
    `"key":${JSON.stringify(row.step_key)}`,
    `"task_id":${JSON.stringify(row.id)}`,
    `"task":${JSON.stringify(row.name)}`,
    `"change":"${change}"`,
    `"state":"${state}"`,
    `"attempt":${row.attempt}`,
    `"at":"${new Date(atUs / 1_000).toISOString()}"`,
    `"outcome":${JSON.stringify(outcome)}`,
    `"error":${error ?? "null"}`,
  ];
  return {
    event: "step",
    id,
    atUs,
    key: row.step_key,
    change,
    text: eventText(id, "step", `{${members.join(",")}}`),
  };
}

function progressOf(row: ChangeRow): [string, RunEvent][] {
  const { id, step_key: key, attempt, progress, progress_message: message, elements, state } = row;
  const isSaying = state === "running" && (progress !== null || message !== null);
  if (!isSaying && (elements === null || row.finished_us !== null)) return [];
  const data = { key, task_id: id, attempt, progress, message, elements };
  return [[id, { event: "progress", id: null, atUs: 0, text: eventText(null, "progress", JSON.stringify(data)) }]];
}

function runEvent(pulse: PulseRow, record: RunRecord | null): RunEvent {
  const { steps, open_steps: open, failed_steps: failed, cancelled_steps: cancelled, skipped_steps: skipped } = pulse;
  const { blocked, queued, running, state, error } = pulse;
  const succeeded = steps - open - failed - cancelled - skipped;
  const counts = record?.counts ?? { blocked, queued, running, succeeded, failed, cancelled, skipped };
  const atUs = pulse.finished_us ?? 0;
  const id = state === "running" ? null : `${atUs}.run`;
  const data = `{"state":"${state}","counts":${JSON.stringify(counts)},"error":${withoutStack(error) ?? "null"}}`;
  return { event: "run", id, atUs, text: eventText(id, "run", data) };
}

function eventText(id: string | null, event: RunEvent["event"], data: string): string {
  return `${id === null ? "" : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`;
}

/** By time, each id once. What has one time is told in the order of the graph: a step before those that wait for it, elements within their step. */
function inOrder(events: readonly Sortable[], { byKey }: RunOutline): RunEvent[] {
  const placed = events.map((event) => ({ event, place: placeOf(event, byKey) }));
  placed.sort((a, b) => a.event.atUs - b.event.atUs || a.place - b.place || (a.event.id < b.event.id ? -1 : 1));
  const seen = new Set<string>();
  return placed.map(({ event }) => event).filter(({ id }) => !seen.has(id) && seen.add(id));
}

function placeOf({ key, change }: Sortable, byKey: RunOutline["byKey"]): number {
  if (key === WHOLE_RUN_KEY) return change === "end" ? Number.POSITIVE_INFINITY : -1;
  const mapped = mappedKeyOf(key);
  const moment = CHANGES.indexOf(change);
  // Start, then those of the elements, then attempt or end.
  const within = mapped === null ? (moment === 0 ? 0 : moment + CHANGES.length) : moment + 1;
  return (byKey.get(mapped ?? key)?.place ?? 0) * 10 + within;
}
