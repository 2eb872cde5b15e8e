/** Tasks that were made inside somebody's own transaction: the executor finds them, and a worker runs them. */
import pg from "pg";
import { describe, expect, it } from "vitest";
import { enqueue } from "../../runtime/enqueue/index.ts";
import { startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { counted } from "./tasks/counted.ts";
import { census, untilSucceeded } from "./work.ts";

const ANNOUNCED_WITHIN_MS = 1_000;

describe("a task that was enqueued in a transaction", { timeout: TIMES.testTimeoutMs }, () => {
  it("is announced within a second after the commit, and runs once", async ({ onTestFinished, annotate }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    await Promise.all([system.startApi(), system.startWorker("only")]);
    const client = new pg.Client({ connectionString: system.databaseUrl });
    await client.connect();
    onTestFinished(() => client.end());

    const waits: number[] = [];
    for (let round = 0; round < 5; round++) {
      await client.query("begin");
      const ids = [
        await enqueue(client, counted, { firstMs: 0, laterMs: 0 }),
        ...(await client
          .query<{ id: string }>(
            `select taskiq.enqueue('test.counted', '{"firstMs":0,"laterMs":0}') as id from generate_series(1, 9)`,
          )
          .then(({ rows }) => rows.map(({ id }) => id))),
      ];
      await client.query("commit");
      const { rows } = await client.query<{ at: Date }>("select clock_timestamp() as at");
      const committedAt = rows[0]?.at.getTime() ?? Number.NaN;
      const started = await until(async () => {
        const found = await ask<{ at: Date }>(
          system.database,
          "select started_at as at from taskiq.task where id = any($1::uuid[]) and started_at is not null",
          [ids],
        );
        return found.length === ids.length && found.map(({ at }) => at.getTime());
      });
      waits.push(Math.max(...started) - committedAt);
    }
    await annotate(`from commit to the start of the last of ten, in ms: ${waits.join(", ")}`);
    expect(Math.max(...waits)).toBeLessThan(ANNOUNCED_WITHIN_MS);
    await untilSucceeded(system, 50, 10_000);
    expect(await census(system)).toEqual([{ tasks: 50, state: "succeeded", failures: 0, losses: 0, effects: 1 }]);
  });

  it("of a transaction that was rolled back never runs", async ({ onTestFinished }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    await Promise.all([system.startApi(), system.startWorker("only")]);
    const client = new pg.Client({ connectionString: system.databaseUrl });
    await client.connect();
    onTestFinished(() => client.end());
    await client.query("begin");
    await enqueue(client, counted, { firstMs: 0, laterMs: 0 });
    await client.query("rollback");
    const kept = await enqueue(client, counted, { firstMs: 0, laterMs: 0 });
    await untilSucceeded(system, 1, 10_000);
    expect(await ask(system.database, "select id from taskiq.task")).toEqual([{ id: kept }]);
    expect(await ask(system.database, "select task_id from public.effect")).toEqual([{ task_id: kept }]);
  });
});
