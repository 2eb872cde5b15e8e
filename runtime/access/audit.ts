/** Who did what to the work of others, recorded in the transaction in which it is done: neither is there without the other. */
import { TaskiqError } from "../errors.ts";
import type { Database, Queryable, Transaction } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Caller } from "./scope.ts";

/** What is recorded. Names are public: a name is never changed. */
export const AUDIT_ACTIONS = [
  "key.create",
  "key.revoke",
  "task.cancel",
  "task.retry",
  "tasks.cancel",
  "tasks.retry",
  "run.create",
  "run.cancel",
  "run.resume",
  "run.reexecute",
  "queue.pause",
  "queue.resume",
  "queue.redrive",
  "schedule.create",
  "schedule.update",
  "schedule.pause",
  "schedule.resume",
  "schedule.trigger",
  "schedule.delete",
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export type AuditEntry = {
  readonly id: number;
  readonly at: Date;
  /** The id of a key, `anonymous`, or `keygen`. */
  readonly actor: string;
  /** The name of that key. */
  readonly key_name: string | null;
  readonly tenant: string;
  readonly action: string;
  readonly target: string | null;
  /** JSON text. */
  readonly detail: string | null;
};

export const MAX_AUDIT_ENTRIES = 500;

const WRITE_AUDIT = loadSql(import.meta.url, "./write-audit.sql");
const READ_AUDIT = loadSql(import.meta.url, "./read-audit.sql");
const READ_TENANT_AUDIT = loadSql(import.meta.url, "./read-tenant-audit.sql");

/**
 * Records one action.
 * @param database the transaction of what is recorded
 * @param target the id of a task or key, the name of a queue or schedule; null: what the detail describes
 * @param detail a small value that JSON can carry, without secrets
 */
export async function audit(
  database: Queryable,
  caller: Pick<Caller, "tenant" | "name">,
  action: AuditAction,
  target: string | null,
  detail: object | null = null,
): Promise<void> {
  const text = detail === null ? null : JSON.stringify(detail);
  await database.query(WRITE_AUDIT, [caller.name, caller.tenant, action, target, text]);
}

/**
 * Runs what an operator asked for, with its audit, in one transaction. What it does has to be repeatable: when the answer to the commit
 * is lost, the caller is asked to repeat it.
 */
export async function audited<T>(database: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  try {
    return await database.transaction(work);
  } catch (error) {
    if (!(error instanceof TaskiqError) || error.code !== "commit_unknown") throw error;
    throw new TaskiqError("database_unavailable", "expected the commit to be answered. Repeat the request.", {
      cause: error,
    });
  }
}

/**
 * The latest entries before `before`, latest first.
 * @param tenant null: of every tenant  @param options.limit 1 to 500
 */
export async function readAudit(
  database: Queryable,
  tenant: string | null,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<AuditEntry[]> {
  if (tenant === null) return await database.query<AuditEntry>(READ_AUDIT, [before, limit]);
  return await database.query<AuditEntry>(READ_TENANT_AUDIT, [before, limit, tenant]);
}
