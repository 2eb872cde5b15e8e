import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { dumpSchema } from "../../runtime/postgres/dump-schema.ts";
import { openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase } from "../support/database.ts";

const SNAPSHOT = fileURLToPath(new URL("../../runtime/postgres/schema.sql", import.meta.url));

test("schema.sql is what the migrations make (after a new migration run: npm run schema)", async () => {
  const { url, drop } = await createTestDatabase();
  const database = openDatabase({ connectionString: url, max: 1, applicationName: "schema" });
  try {
    await expect(await dumpSchema(database)).toMatchFileSnapshot(SNAPSHOT);
  } finally {
    await database.close();
    await drop();
  }
});
