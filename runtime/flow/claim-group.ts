/**
 * Claim on a FIFO queue: the first task of each group that rings. SQS keeps the order of doorbells, the rows keep the order of tasks: whichever
 * doorbell of a group arrives, its first unfinished task is the one to run. So a lost, doubled or late doorbell never costs the order.
 */

import { isUniqueViolation } from "../postgres/failure.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { type ClaimedRow, type ClaimedTask, type ClaimOptions, taskOf } from "./claim.ts";

export type GroupVerdict =
  | { readonly kind: "claimed"; readonly task: ClaimedTask }
  /** Its first task runs, or waits for its time: `waitMs` from now. */
  | { readonly kind: "running" | "not_due"; readonly waitMs: number }
  | { readonly kind: "contended" | "empty" }
  | { readonly kind: "unknown_task"; readonly taskId: string };

type Row = { [Column in keyof ClaimedRow]: ClaimedRow[Column] | null } & {
  group_key: string;
  verdict: GroupVerdict["kind"];
  wait_ms: number;
  first_id: string | null;
};

const CLAIM_GROUP = loadSql(import.meta.url, "./claim-group.sql");

/**
 * Every group gets a verdict; at most one of its tasks is ours.
 * @param groups 1 to 100 different group keys
 */
export async function claimGroups(
  database: Queryable,
  groups: readonly string[],
  options: ClaimOptions,
): Promise<Map<string, GroupVerdict>> {
  try {
    const { queue, worker, leaseMs, knownTasks } = options;
    const rows = await database.query<Row>(CLAIM_GROUP, [queue, groups, worker, leaseMs, knownTasks]);
    return new Map(rows.map((row) => [row.group_key, verdictOf(row, queue)]));
  } catch (error) {
    // Two claims of one group saw different first tasks. The other one has won; in a batch, it is not known where.
    if (!isUniqueViolation(error)) throw error;
    if (groups.length === 1) return new Map(groups.map((group) => [group, { kind: "contended" }]));
    const parts = await Promise.all(groups.map((group) => claimGroups(database, [group], options)));
    return new Map(parts.flatMap((part) => [...part]));
  }
}

function verdictOf(row: Row, queue: string): GroupVerdict {
  switch (row.verdict) {
    case "claimed":
      // A claimed row has all columns of its task.
      return { kind: "claimed", task: taskOf(row as ClaimedRow, queue) };
    case "running":
    case "not_due":
      return { kind: row.verdict, waitMs: row.wait_ms };
    case "unknown_task":
      return { kind: "unknown_task", taskId: row.first_id ?? "" };
    case "contended":
    case "empty":
      return { kind: row.verdict };
  }
}
