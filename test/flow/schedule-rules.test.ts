/** What the table of schedules refuses by itself. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createSchedule } from "../support/schedules.ts";
import { ask } from "../support/tasks.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "schedule rules" });
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const REFUSED: Record<string, string> = {
  catch_up_is_bounded: "catch_up_limit = 101",
  catch_up_known: "catch_up = 'some'",
  cron_has_time_zone: "time_zone = 'UTC'",
  cron_or_interval: "cron = '* * * * *', time_zone = 'UTC'",
  disabled_has_problem: "disabled_at = now()",
  fired_has_task: "last_fired_for = now()",
  firings_never_negative: "fired = -1",
  interval_in_range: "interval_ms = 999",
  overlap_known: "overlap = 'kill'",
  schedule_priority_in_range: "priority = 101",
};

test("rules are all tried here", async () => {
  const rows = await ask<{ conname: string }>(
    database,
    "select conname from pg_constraint where conrelid = 'taskiq.schedule'::regclass and contype = 'c' order by conname",
  );
  expect(rows.map(({ conname }) => conname)).toEqual(Object.keys(REFUSED));
});

test.each(Object.entries(REFUSED))("%s refuses %s", async (constraint, change) => {
  const id = await createSchedule(database);
  const update = ask(database, `update taskiq.schedule set ${change} where id = $1`, [id]);
  await expect(update).rejects.toMatchObject({ code: "23514", constraint });
});

test("two schedules of a tenant never have one name, of two tenants they may", async () => {
  await createSchedule(database, { name: "nightly" });
  await createSchedule(database, { name: "nightly", tenant: "other" });
  await expect(createSchedule(database, { name: "nightly" })).rejects.toMatchObject({
    constraint: "one_schedule_per_name",
  });
});
