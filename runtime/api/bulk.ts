/**
 * Cancel or retry every task that a filter matches. First the caller is told how many; then it says so many, and they are done in batches by
 * id, each in a transaction of its own. What was done is no longer matched, so a caller whose answer got lost repeats its request.
 */
import { audit, audited } from "../access/audit.ts";
import type { Caller } from "../access/scope.ts";
import { TaskiqError } from "../errors.ts";
import { cancel } from "../flow/cancel.ts";
import { rearm } from "../flow/rearm.ts";
import type { TaskState } from "../model/task.ts";
import type { Database } from "../postgres/pool.ts";
import { loadSql, type Statement } from "../postgres/sql.ts";
import { filterParams, type TaskFilter } from "./task-filter.ts";
import { requestInvalid } from "./validation.ts";

export type BulkRequest = {
  readonly caller: Pick<Caller, "tenant" | "name">;
  readonly filter: TaskFilter;
  /** What the caller was told; null: it wants to be told. */
  readonly confirm: number | null;
  /** The time it was told for; null: now. */
  readonly asOf: Date | null;
  /** Of a cancellation. */
  readonly reason: string | null;
};

export type BulkOutcome = {
  /** How many matched at the beginning of this request, up to a million. */
  readonly matched: number;
  /** How many were cancelled or queued. */
  readonly changed: number;
  /** Of a cancellation: how many run, and are being stopped. */
  readonly stopping: number;
  /** How many matched, but ended or were changed by somebody else before they were reached. */
  readonly unchanged: number;
  /** How many are left for the next request. */
  readonly remaining: number;
  readonly asOf: Date;
};

const MATCH_CANCELLABLE = loadSql(import.meta.url, "./match-cancellable.sql");
const MATCH_RETRYABLE = loadSql(import.meta.url, "./match-retryable.sql");
/** What one request does at most: a few seconds. */
const MAX_CHANGED = 10_000;
const MAX_COUNTED = 1_000_000;
const BATCH = 500;

type Matched = { readonly matched: number; readonly ids: readonly string[]; readonly as_of: Date };
type Counts = { readonly changed: number; readonly stopping: number };

/** Blocked, queued and running tasks. Throws TaskiqError `request_invalid` for other states, `count_changed` when more match than confirmed. */
export async function cancelMatching(database: Database, request: BulkRequest): Promise<BulkOutcome> {
  const { caller, reason } = request;
  const open: TaskState[] = ["blocked", "queued", "running"];
  const matched = await match(database, MATCH_CANCELLABLE, request, open, open);
  return await change(database, matched, request, "tasks.cancel", async (tx, ids) => {
    const outcomes = await cancel(tx, ids, { tenant: caller.tenant, reason });
    return {
      changed: outcomes.filter(({ was, state }) => state === "cancelled" && was !== "cancelled").length,
      stopping: outcomes.filter(({ state }) => state === "running").length,
    };
  });
}

/** Failed tasks, and cancelled ones where the filter says so. Throws as `cancelMatching`. */
export async function retryMatching(database: Database, request: BulkRequest): Promise<BulkOutcome> {
  const { caller } = request;
  const matched = await match(database, MATCH_RETRYABLE, request, ["failed", "cancelled"], ["failed"]);
  return await change(database, matched, request, "tasks.retry", async (tx, ids) => {
    const outcomes = await rearm(tx, ids, caller.tenant);
    return { changed: outcomes.filter(({ rearmed }) => rearmed).length, stopping: 0 };
  });
}

async function match(
  database: Database,
  statement: Statement,
  { caller, filter, confirm, asOf }: BulkRequest,
  allowed: readonly TaskState[],
  usual: readonly TaskState[],
): Promise<Matched> {
  const wrong = filter.states?.find((state) => !allowed.includes(state));
  if (wrong !== undefined) {
    throw requestInvalid([{ path: "filter.state", message: `expected one of ${allowed.join(", ")}, got ${wrong}` }]);
  }
  const ids = confirm === null ? 0 : MAX_CHANGED;
  const params = [caller.tenant, filter.states ?? usual, ...filterParams(filter), asOf, ids, MAX_COUNTED];
  const [matched] = await database.query<Matched>(statement, params);
  if (matched === undefined) throw new Error("expected a count");
  if (confirm === null || matched.matched <= confirm) return matched;
  throw new TaskiqError(
    "count_changed",
    `expected at most ${confirm} tasks as confirmed, ${matched.matched} match. Nothing was changed. Look again, and confirm that many.`,
    { details: { matched: matched.matched } },
  );
}

async function change(
  database: Database,
  { matched, ids, as_of: asOf }: Matched,
  { caller, filter, confirm, reason }: BulkRequest,
  action: "tasks.cancel" | "tasks.retry",
  work: (tx: Parameters<Parameters<typeof audited>[1]>[0], ids: readonly string[]) => Promise<Counts>,
): Promise<BulkOutcome> {
  let changed = 0;
  let stopping = 0;
  if (confirm === null) return { matched, changed, stopping, unchanged: 0, remaining: matched, asOf };
  for (let at = 0; at < ids.length; at += BATCH) {
    const batch = ids.slice(at, at + BATCH);
    const counts = await audited(database, async (tx) => {
      const done = await work(tx, batch);
      await audit(tx, caller, action, null, { filter, reason, first: batch[0], last: batch.at(-1), ...done });
      return done;
    });
    changed += counts.changed;
    stopping += counts.stopping;
  }
  const unchanged = ids.length - changed - stopping;
  return { matched, changed, stopping, unchanged, remaining: matched - ids.length, asOf };
}
