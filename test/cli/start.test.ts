import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { startProcess } from "../support/processes.ts";
import { runCli } from "./run-cli.ts";

const entry = (name: string) => fileURLToPath(new URL(`../../runtime/${name}`, import.meta.url));

let database: TestDatabase;
let aws: TestAws;

beforeAll(async () => {
  [database, aws] = await Promise.all([createTestDatabase(), startTestAws()]);
});

afterAll(async () => {
  await aws.stop();
  await database.drop();
});

describe.each([
  ["cli.ts", ["api", "start"], "api"],
  ["cli.ts", ["worker", "start"], "worker"],
  ["demo-api.ts", [], "api"],
  ["demo-worker.ts", [], "worker"],
])("%s %j", (name, args, role) => {
  test("starts its role whatever SERVICE_ROLE says, and ends on SIGTERM", async () => {
    const service = startProcess({
      entry: entry(name),
      args,
      env: {
        ...aws.env,
        DATABASE_URL: database.url,
        SERVICE_ROLE: "executor",
        TASKIQ_HTTP_PORT: "0",
        TASKIQ_PROBE_PORT: "0",
        TASKIQ_RECEIVE_WAIT_MS: "1000",
      },
    });
    await service.waitForLine(new RegExp(`"service":"${role}".*"event":"${role}\\.started"`));
    service.signal("SIGTERM");
    expect(await service.exited).toEqual({ code: 0, signal: null });
  });
});

test.each([
  ["0.0.0.0", true],
  ["127.0.0.1", false],
])("an API without keys on %s warns that others reach it: %s", async (host, warns) => {
  const service = startProcess({
    entry: entry("main.ts"),
    env: {
      ...aws.env,
      DATABASE_URL: database.url,
      SERVICE_ROLE: "api",
      TASKIQ_API_AUTH: "none",
      TASKIQ_HTTP_HOST: host,
      TASKIQ_HTTP_PORT: "0",
    },
  });
  await service.waitForLine(/"event":"api\.started"/);
  service.signal("SIGTERM");
  await service.exited;
  expect(service.lines.some((line) => line.includes('"event":"api.open"'))).toBe(warns);
});

test("a service takes its settings from the file that --config names, and tells mistakes in it by their place", async () => {
  const folder = mkdtempSync(join(tmpdir(), "taskiq-start-"));
  const path = join(folder, "taskiq.yaml");
  const { AWS_ENDPOINT_URL, TASKIQ_QUEUES, TASKIQ_S3_BUCKET, ...credentials } = aws.env;
  const settings = [
    `DATABASE_URL: ${database.url}`,
    `AWS_ENDPOINT_URL: ${AWS_ENDPOINT_URL}`,
    `TASKIQ_QUEUES: ${TASKIQ_QUEUES}`,
    `TASKIQ_S3_BUCKET: ${TASKIQ_S3_BUCKET}`,
    "TASKIQ_WORKER_NAME: from-the-file",
    "TASKIQ_PROBE_PORT: 0",
    "TASKIQ_RECEIVE_WAIT_MS: 1000",
  ].join("\n");
  writeFileSync(path, settings);
  const service = startProcess({
    entry: entry("cli.ts"),
    args: ["worker", "start", "--config", path],
    env: credentials,
  });
  await service.waitForLine(/"worker":"from-the-file".*"event":"worker\.started"/);
  service.signal("SIGTERM");
  expect(await service.exited).toEqual({ code: 0, signal: null });

  writeFileSync(path, `${settings}\nTASKIQ_LEASE_MS: 30s\n`);
  const { code, stderr } = await runCli(["worker", "start", "--config", path]);
  expect(stderr).toBe(
    'TASKIQ_LEASE_MS (taskiq.yaml, line 8): expected an integer from 2000 to 600000, got "30s". Use milliseconds, for example 30000.\n',
  );
  expect(code).toBe(1);
  rmSync(folder, { recursive: true });
});

test("a service that waits for its database ends on SIGTERM, also where nothing ends by default", async () => {
  const service = startProcess({
    entry: entry("main.ts"),
    env: { ...aws.env, DATABASE_URL: "postgres://nobody@127.0.0.1:1/none", SERVICE_ROLE: "worker" },
  });
  await service.waitForLine(/"event":"database\.away"/);
  service.signal("SIGTERM");
  // By its own handler: the first process of a container has no other.
  expect(await service.exited).toEqual({ code: 0, signal: null });
});

test.each(["cli.ts", "demo-api.ts", "demo-worker.ts"])("%s can be executed as it is", (name) => {
  accessSync(entry(name), constants.X_OK);
  expect(readFileSync(entry(name), "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
});

test("a service without configuration ends with every problem in a line", async () => {
  const { code, stderr } = await runCli(["worker", "start"]);
  expect(stderr).toMatch(/^DATABASE_URL: expected/m);
  expect(stderr).toMatch(/^TASKIQ_QUEUES: expected/m);
  expect(code).toBe(1);
});
