/**
 * One transaction on one connection, and the three ways in which its end is not what it seems: a COMMIT that answers
 * ROLLBACK, a COMMIT whose answer is lost, and a rollback that fails and must not hide why it was needed.
 */
import type pg from "pg";
import { TaskiqError } from "../errors.ts";
import type { Connection } from "./connections.ts";
import { breaksConnection } from "./failure.ts";
import { named } from "./parameters.ts";
import type { Statement } from "./sql.ts";

/** `raw` is the connection itself, for SQL that is not ours: it must not begin, commit or roll back, nor be released. */
export type Transaction = {
  query<Row>(statement: Statement, params: readonly unknown[]): Promise<Row[]>;
  readonly raw: pg.PoolClient;
};

/** Commits what `work` did and releases the connection. See `Database.transaction` for what it throws. */
export async function runTransaction<T>(connection: Connection, work: (tx: Transaction) => Promise<T>): Promise<T> {
  let failed: unknown;
  const tx: Transaction = {
    raw: connection.client,
    async query<Row>(statement: Statement, params: readonly unknown[]) {
      try {
        return (await connection.send<Row>(named(statement, params))).rows;
      } catch (error) {
        failed = error;
        throw error;
      }
    },
  };
  try {
    const result = await perform(connection, tx, work);
    await commit(connection, failed);
    return result;
  } finally {
    connection.release();
  }
}

async function perform<T>(connection: Connection, tx: Transaction, work: (tx: Transaction) => Promise<T>): Promise<T> {
  try {
    await connection.send({ text: "begin" });
    const result = await work(tx);
    // It broke between two statements, or `work` ignored that: COMMIT is not sent, so nothing is committed.
    if (connection.lost !== undefined) throw connection.lost;
    return result;
  } catch (error) {
    await undo(connection, error);
    throw error;
  }
}

/** Its own failure is not the caller's: the server undoes what never commits, and the connection is closed. */
async function undo(connection: Connection, cause: unknown): Promise<void> {
  // A timeout on `raw` was not seen by us; rolling back would wait once more for a frozen server.
  if (breaksConnection(cause)) connection.breakOff(cause);
  if (connection.lost !== undefined) return;
  await connection.send({ text: "rollback" }).catch((error: unknown) => {
    connection.breakOff(error instanceof Error ? error : new Error(String(error)));
  });
}

async function commit(connection: Connection, failed: unknown): Promise<void> {
  const { command } = await connection.send({ text: "commit" }).catch((cause: unknown) => {
    if (!breaksConnection(cause)) throw cause;
    throw new TaskiqError(
      "commit_unknown",
      "expected an answer to COMMIT, the connection failed first. Repeat the fenced statement, or read the row with a lock, to learn whether it was committed.",
      { cause },
    );
  });
  if (command === "COMMIT") return;
  throw new TaskiqError(
    "internal",
    `expected the transaction to commit, the server answered ${command}: one of its statements had failed and the error was ignored. Let it through, or use a savepoint.`,
    { cause: failed },
  );
}
