/** A cancellation that waits for a row which somebody is changing: it decides by what the row has become. */
import { describe, expect, test } from "vitest";
import { cancel } from "../../runtime/flow/cancel.ts";
import { cancelRun } from "../../runtime/flow/cancel-run.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase } from "../support/database.ts";
import { createRun, stepId } from "../support/runs.ts";
import { ask, createTask, readTask } from "../support/tasks.ts";
import { until } from "../support/until.ts";

const CLAIM = `update taskiq.task set state = 'running', attempt = attempt + 1, worker = 'w', started_at = now(),
                      lease_until = now() + interval '30 s' where id = $1`;
const RELEASE = "update taskiq.task set state = 'queued', lease_until = null where id = $1";
const WAITING = `select pid from pg_stat_activity
                  where datname = current_database() and application_name = 'canceller' and wait_event_type = 'Lock'`;
const ANYBODY = { tenant: null, reason: null };

type Kind = {
  readonly what: string;
  create(
    database: Database,
    state: "queued" | "running",
  ): Promise<{ id: string; cancel(on: Database): Promise<unknown> }>;
};
const KINDS: readonly Kind[] = [
  {
    what: "a task",
    async create(database, state) {
      const id = await createTask(database, { state });
      return { id, cancel: (on) => cancel(on, [id], ANYBODY) };
    },
  },
  {
    what: "a step of a cancelled run",
    async create(database, state) {
      const runId = await createRun(database, { steps: [{ key: "a", task: "demo" }] }, { a: { state } });
      return { id: stepId(runId, "a"), cancel: (on) => cancelRun(on, runId, ANYBODY) };
    },
  },
];

describe.each(KINDS)("$what", ({ create }) => {
  test("that is claimed at this moment gets its flag and runs", async () => {
    expect(await changedMeanwhile(create, "queued", CLAIM)).toMatchObject({ state: "running", cancel_requested: true });
  });

  test("that is given back at this moment is cancelled", async () => {
    expect(await changedMeanwhile(create, "running", RELEASE)).toMatchObject({
      state: "cancelled",
      cancel_requested: true,
    });
  });
});

/** The row as it is when a cancellation has waited for this change of it. */
async function changedMeanwhile(create: Kind["create"], state: "queued" | "running", change: string) {
  const { url, drop } = await createTestDatabase();
  const open = (applicationName: string) => openDatabase({ connectionString: url, max: 2, applicationName });
  const [test, canceller] = [open("test"), open("canceller")];
  try {
    const { id, cancel } = await create(test, state);
    const cancelled = await test.transaction(async (tx) => {
      await tx.raw.query(change, [id]);
      const under = { way: cancel(canceller) };
      under.way.catch(() => {});
      await until(async () => (await ask(test, WAITING)).length > 0, { what: "the cancellation to wait" });
      return under;
    });
    await cancelled.way;
    return await readTask(test, id);
  } finally {
    await Promise.all([test.close(), canceller.close()]);
    await drop();
  }
}
