import { expect, test } from "vitest";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { openLog } from "../runtime/log.ts";
import { migrate } from "../runtime/postgres/migrate.ts";
import { openDatabase } from "../runtime/postgres/pool.ts";
import { whenSchemaFits } from "../runtime/process.ts";
import { createEmptyDatabase } from "./support/database.ts";

/** A clock whose waits are over at once and are counted; `onWait` runs in each of them. */
function steppedClock(onWait: (waits: number) => Promise<void>): Clock & { readonly waits: number } {
  let nowMs = 0;
  let waits = 0;
  return {
    nowMs: () => nowMs,
    wallMs: () => nowMs,
    async after(ms) {
      nowMs += ms;
      await onWait(++waits);
    },
    get waits() {
      return waits;
    },
  };
}

async function withEmptyDatabase(
  work: (url: string, database: ReturnType<typeof openDatabase>, log: Log, lines: () => string) => Promise<void>,
) {
  const empty = await createEmptyDatabase();
  const database = openDatabase({ connectionString: empty.url, max: 1, applicationName: "process" });
  const lines: string[] = [];
  const log = openLog({ level: "info", format: "json", service: "worker", write: (line) => lines.push(line) });
  try {
    await work(empty.url, database, log, () => lines.join(""));
  } finally {
    await database.close();
    await empty.drop();
  }
}

test("a process that starts before the migration waits for it, and says so once", async () => {
  await withEmptyDatabase(async (url, database, log, lines) => {
    const clock = steppedClock(async (waits) => {
      if (waits === 3) await migrate(url);
    });
    await whenSchemaFits(database, { migrateFirst: null, waitMs: 60_000, log, clock });
    expect(clock.waits).toBe(3);
    expect(lines().match(/"schema\.older"/g)).toHaveLength(1);
  });
});

test("a migration that does not come in time ends the start", async () => {
  await withEmptyDatabase(async (_url, database, log) => {
    const clock = steppedClock(async () => {});
    const waiting = whenSchemaFits(database, { migrateFirst: null, waitMs: 5_000, log, clock });
    await expect(waiting).rejects.toMatchObject({ code: "schema_older" });
    expect(clock.nowMs()).toBe(5_000);
  });
});

test("the role that migrates first does not wait", async () => {
  await withEmptyDatabase(async (url, database, log) => {
    const clock = steppedClock(async () => {});
    await whenSchemaFits(database, { migrateFirst: () => migrate(url), waitMs: 5_000, log, clock });
    expect(clock.waits).toBe(0);
  });
});
