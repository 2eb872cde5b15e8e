/**
 * One Postgres server for the whole run: that of `DATABASE_URL`, else an embedded one. The schema is migrated once, into
 * a template that every test file clones (database.ts).
 */
import { randomBytes } from "node:crypto";
import type { TestProject } from "vitest/node";
import { startPostgres } from "../../runtime/local/postgres.ts";
import { serviceUser, temporaryFolder } from "../../runtime/local/service-user.ts";
import { executeSql } from "./execute-sql.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A user who may create databases. */
    databaseServerUrl: string;
    /** Holds the current schema and no rows. Nobody may connect to it. */
    databaseTemplate: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await openServer();
  const template = `taskiq_template_${randomBytes(6).toString("hex")}`;
  try {
    await makeTemplate(server.url, template);
  } catch (error) {
    await server.stop();
    throw error;
  }
  project.provide("databaseServerUrl", server.url);
  project.provide("databaseTemplate", template);
  return async () => {
    if (!server.isOurs) await executeSql(server.url, `drop database if exists ${template} with (force)`);
    await server.stop();
  };
}

type Server = { readonly url: string; readonly isOurs: boolean; stop(): Promise<void> };

async function openServer(): Promise<Server> {
  const given = process.env.DATABASE_URL;
  if (given !== undefined && given !== "") return { url: given, isOurs: false, stop: async () => {} };
  const postgres = await startPostgres({ dataDir: await temporaryFolder(serviceUser(), "tests"), persistent: false });
  return { url: postgres.url, isOurs: true, stop: postgres.stop };
}

async function makeTemplate(serverUrl: string, name: string): Promise<void> {
  const { migrate } = await import("../../runtime/postgres/migrate.ts");
  await executeSql(serverUrl, `create database ${name} template template0 encoding 'UTF8'`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await migrate(url.href);
  // A single connection to a template keeps it from being cloned.
  await executeSql(serverUrl, `alter database ${name} with allow_connections false`);
}
