import { describe, expect, test } from "vitest";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { runCli } from "./run-cli.ts";

describe("a command line that is wrong", () => {
  test.each([
    [["task", "run"], "missing required argument 'task'"],
    [["task", "show"], "missing required argument 'id'"],
    [["task", "run", "sleep", "--prioritty", "3"], "Did you mean --priority?"],
    [
      ["task", "run", "sleep", "--priority", "300"],
      "'--priority <n>' argument '300' is invalid. Expected a whole number from -100 to 100",
    ],
    [
      ["task", "run", "sleep", "--delay-seconds", "-1"],
      "'--delay-seconds <n>' argument '-1' is invalid. Expected a number of seconds from 0 to 31536000",
    ],
    [["task", "run", "sleep", "--timeout-seconds", "soon"], "'--timeout-seconds <n>' argument 'soon' is invalid"],
    [
      ["task", "run", "sleep", "--label", "team"],
      "'--label <name=value>' argument 'team' is invalid. Expected name=value",
    ],
    [
      ["task", "run", "sleep", "--idempotency-key", "two words"],
      "'--idempotency-key <key>' argument 'two words' is invalid",
    ],
    [
      ["task", "run", "sleep", "--url", "tasks.example.com"],
      "'--url <url>' argument 'tasks.example.com' is invalid. Expected an http or https URL",
    ],
    [
      ["task", "run", "sleep", "{duration_seconds: 3}"],
      'input-json: expected JSON, got "{duration_seconds: 3}". Put it in single quotes',
    ],
    [["task", "run", "sleep", "@/nowhere.json"], 'input-json: expected a file after "@"'],
    [["tsk"], "Did you mean task?"],
    [["demo", "--port", "99999"], "'--port <n>' argument '99999' is invalid. Expected a whole number from 1 to 65535"],
  ])("%j names what is wrong and exits with 2", async (args, message) => {
    const { code, stdout, stderr } = await runCli(args);
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  test("names the environment variable that is wrong", async () => {
    const { code, stderr } = await runCli(["task", "show", "x"], { env: { TASKIQ_URL: "tasks" } });
    expect(stderr).toContain("value 'tasks' from env 'TASKIQ_URL' is invalid");
    expect(code).toBe(2);
  });
});

test("help is no mistake, and tells the exit codes", async () => {
  const { code, stdout, stderr } = await runCli(["task", "run", "--help"]);
  expect(stdout).toContain("Exit codes:");
  expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
});

test("without a command the commands are told, with 2", async () => {
  const { code, stderr } = await runCli([]);
  expect(stderr).toContain("doctor");
  expect(code).toBe(2);
});

test("an API that is not there is 6, with its address, and as JSON too", async () => {
  const proxy = await startTcpProxy({ host: "127.0.0.1", port: 1 });
  await proxy.close();
  const url = `http://127.0.0.1:${proxy.port}`;
  const { code, stdout, stderr } = await runCli(["task", "show", "x", "--json"], { env: { TASKIQ_URL: url } });
  expect(stderr).toContain(`expected the API at ${url}, got: connect ECONNREFUSED`);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "api_unreachable", status: null } });
  expect(code).toBe(6);
});

describe("doctor", () => {
  const unused = ["--url", "http://127.0.0.1:1"];

  test("without anything set says what is missing and how to start the demo", async () => {
    const { code, stdout, stderr } = await runCli(["doctor", ...unused]);
    expect(stdout).toContain("fail  configuration  DATABASE_URL: expected");
    expect(stdout).toContain("fail  configuration  TASKIQ_QUEUES: expected");
    expect(stdout).toContain("npm run demo");
    expect(stderr).toBe("");
    expect(code).toBe(1);
  });

  test("tells programs in JSON", async () => {
    const env = { SERVICE_ROLE: "migrate", DATABASE_URL: "postgres://taskiq:secret@127.0.0.1:1/tasks" };
    const { code, stdout } = await runCli(["doctor", "--json", ...unused], { env });
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      findings: expect.arrayContaining([
        { check: "configuration", level: "ok", message: expect.any(String), advice: null },
        { check: "database", level: "fail", message: expect.any(String), advice: expect.any(String) },
      ]),
    });
    expect(stdout).not.toContain("secret");
    expect(code).toBe(1);
  });
});

describe("migrate", () => {
  test("without a database named is a usage error that names the variable", async () => {
    const { code, stderr } = await runCli(["migrate"]);
    expect(stderr).toContain("DATABASE_URL: expected");
    expect(code).toBe(2);
  });

  test("with a database that is not there fails without its password", async () => {
    const { code, stderr } = await runCli(["migrate"], { env: { DATABASE_URL: "postgres://u:secret@127.0.0.1:1/x" } });
    expect(stderr).toContain("connect ECONNREFUSED 127.0.0.1:1");
    expect(stderr).not.toContain("secret");
    expect(code).toBe(1);
  });
});
