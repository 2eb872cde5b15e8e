/** What a handler writes through in `commit(tx)`: one statement at a time, no control of the transaction, nothing after its end. */

import type pg from "pg";
import type { CommitClient } from "../define/context.ts";
import { TaskiqError } from "../errors.ts";
import { isConnectionError, isSerializationError, type Transaction } from "../postgres/pool.ts";

/** Control of the transaction is ours; savepoints are the handler's. */
const TRANSACTION_CONTROL =
  /^(?:begin|start\s+transaction|commit|end|abort|rollback(?!\s+to\b)|prepare\s+transaction)\b/i;

/** What a handler threw in `commit(tx)`, kept apart from errors of our own statements. */
export class CommitRejected extends Error {
  override readonly name: string = "CommitRejected";

  constructor(cause: unknown) {
    super("commit(tx) failed", { cause });
  }
}

/** `broken`: why the server undid the transaction under one of the handler's statements, through no fault of theirs; else null. */
export function commitClient(tx: Transaction): { facade: CommitClient; broken(): Error | null; close(): void } {
  let open = true;
  let broken: Error | null = null;
  return {
    facade: {
      async query<Row extends Record<string, unknown>>(text: string, values: readonly unknown[] = []) {
        if (!open) {
          throw new TaskiqError(
            "commit_timeout",
            "commit(tx): the transaction is over; nothing more can be written in it.",
          );
        }
        if (TRANSACTION_CONTROL.test(withoutComments(text))) {
          throw new TaskiqError(
            "handler_error",
            `commit(tx): expected a statement, got ${JSON.stringify(text.slice(0, 40))}. The transaction is committed with the completion; use savepoints inside it.`,
          );
        }
        try {
          // The extended protocol takes one statement at a time: none can hide behind another.
          const query = { text, values: [...values], queryMode: "extended" } as pg.QueryConfig;
          const result = await tx.raw.query<Row>(query);
          return { rows: result.rows, rowCount: result.rowCount ?? 0 };
        } catch (error) {
          if (error instanceof Error && (isConnectionError(error) || isSerializationError(error))) broken = error;
          throw error;
        }
      },
    },
    broken: () => broken,
    close() {
      open = false;
    },
  };
}

/** From the first word on: white space, comments (which nest) and empty statements before it are left out. */
function withoutComments(text: string): string {
  let rest = text;
  for (;;) {
    const skipped = rest.replace(/^(?:\s|;|--[^\n]*(?:\n|$))+/, "");
    if (!skipped.startsWith("/*")) return skipped;
    let depth = 0;
    let at = 0;
    do {
      if (skipped.startsWith("/*", at)) [depth, at] = [depth + 1, at + 2];
      else if (skipped.startsWith("*/", at)) [depth, at] = [depth - 1, at + 2];
      else at++;
    } while (depth > 0 && at < skipped.length);
    rest = skipped.slice(at);
  }
}
