import { readFile } from "node:fs/promises";
import { parseEnv } from "node:util";
import { expect, it } from "vitest";
import { loadConfig } from "../../runtime/config.ts";
import { ENV_EXAMPLE_COMMAND, envExample } from "../../runtime/config-example.ts";
import { SECTIONS, VARIABLES } from "../../runtime/config-table.ts";

it("is what the table of variables gives", async () => {
  const written = await readFile(new URL("../../.env.example", import.meta.url), "utf8");
  expect(written, `.env.example is out of date. Run: ${ENV_EXAMPLE_COMMAND}`).toBe(envExample());
});

it("shows every variable once", () => {
  const shown = SECTIONS.flatMap(({ variables }) => Object.keys(variables));
  expect(shown.toSorted()).toEqual(Object.keys(VARIABLES).toSorted());
});

it("is a configuration that can be started with, and whose commented lines are valid too", () => {
  const asWritten = loadConfig(parseEnv(envExample()));
  const uncommented = parseEnv(envExample().replaceAll(/^# ([A-Z_0-9]+=)/gm, "$1"));
  expect(Object.keys(uncommented).toSorted()).toEqual(Object.keys(VARIABLES).toSorted());
  expect(loadConfig(uncommented)).toMatchObject({ role: asWritten.role, database: { pool: asWritten.database.pool } });
});
