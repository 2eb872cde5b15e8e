import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Deployment, startDeployment } from "../client/deployment.ts";
import { type CliOptions, runCli, startCli } from "./run-cli.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let deployment: Deployment;
let folder = "";
let gates = 0;

beforeAll(async () => {
  deployment = await startDeployment();
  folder = mkdtempSync(join(tmpdir(), "taskiq-cli-"));
});

afterAll(async () => {
  await deployment.stop();
  rmSync(folder, { recursive: true });
});

const here = (options: CliOptions = {}): CliOptions => ({ ...options, env: { TASKIQ_URL: deployment.url } });
const run = (args: readonly string[], options: CliOptions = {}) => runCli(["task", "run", ...args], here(options));
const show = (args: readonly string[]) => runCli(["task", "show", ...args], here());
const newGate = () => join(folder, `gate-${++gates}`);
const gateInput = (file: string) => JSON.stringify({ file });

describe("task run", () => {
  test("prints the id, and nothing else, to standard output", async () => {
    const { code, stdout, stderr } = await run(["test.echo", "1"]);
    expect(stdout.trim()).toMatch(UUID);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  test("--wait prints the result to standard output and how it went to standard error", async () => {
    const { code, stdout, stderr } = await run(["test.echo", '{"rows": 3}', "--wait"]);
    expect(JSON.parse(stdout)).toEqual({ rows: 3 });
    expect(stderr).toMatch(/^test\.echo [0-9a-f-]{36}$/m);
    expect(stderr).toMatch(/^✔ succeeded · attempt 1 · ran \d/m);
    expect(stderr).not.toContain("\u001b");
    expect(code).toBe(0);
  });

  test("--wait shows the progress while it goes on", async () => {
    const file = newGate();
    const cli = startCli(["task", "run", "test.gate", gateInput(file), "--wait"], here());
    await cli.waitForNote(/^running · attempt 1 · \d.* · 40 % · waiting at the gate$/m);
    writeFileSync(file, "");
    const { code, stdout } = await cli.ended;
    expect(JSON.parse(stdout)).toEqual({ opened: file });
    expect(code).toBe(0);
  });

  test("takes input from a pipe and from a file", async () => {
    const file = join(folder, "input.json");
    writeFileSync(file, '{"n": 1}\n');
    expect((await run(["test.echo", "-", "--wait"], { stdin: '["a"]' })).stdout).toBe('["a"]\n');
    expect((await run(["test.echo", `@${file}`, "--wait"])).stdout).toBe('{"n":1}\n');
  });

  test("does not round a number on its way to the API, which refuses it with its path", async () => {
    const { code, stderr } = await run(["test.echo", '{"n": 18446744073709551616}']);
    expect(stderr).toBe(
      "taskiq-aws: input.n: expected a number that a double holds exactly, got 18446744073709551616. Send it as a string.\n",
    );
    expect(code).toBe(2);
  });

  test("a task that failed is 1, with its error", async () => {
    const { code, stdout, stderr } = await run(["test.refuse", '{"reason": "no such customer"}', "--wait"]);
    expect(stderr).toMatch(/^✖ failed · attempt 1/m);
    expect(stderr).toContain("TerminalError: no such customer");
    expect(stdout).toBe("");
    expect(code).toBe(1);
  });

  test("--json prints the whole task, also when it failed", async () => {
    const { code, stdout } = await run(["test.refuse", '{"reason": "no"}', "--wait", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ state: "failed", error: { message: "no" }, result: null });
    expect(code).toBe(1);
  });

  test("--json without --wait prints the id as JSON", async () => {
    const { code, stdout } = await run(["test.echo", "--json"]);
    expect(JSON.parse(stdout)).toEqual({ task_id: expect.stringMatching(UUID), state: "queued" });
    expect(code).toBe(0);
  });

  test("passes every option on", async () => {
    const label = ["--label", "team=search", "--label", "note=a=b"];
    const { stdout } = await run(["test.echo", "1", "--priority", "-7", "--delay-seconds", "3600", ...label]);
    const shown = JSON.parse((await show([stdout.trim(), "--json"])).stdout);
    expect(shown).toMatchObject({ state: "queued", priority: -7, labels: { team: "search", note: "a=b" } });
    const delayMs = Date.parse(shown.due_at) - Date.parse(shown.created_at);
    expect(Math.abs(delayMs - 3_600_000)).toBeLessThan(5_000);
  });

  test("with the same idempotency key makes one task", async () => {
    const args = ["test.echo", "1", "--idempotency-key", "order-17"];
    const outcomes = await Promise.all([run(args), run(args)]);
    expect(new Set(outcomes.map(({ stdout }) => stdout)).size).toBe(1);
  });

  test("ends with 5 when the task is not finished in time, and leaves it alone", async () => {
    const file = newGate();
    const { code, stderr } = await run(["test.gate", gateInput(file), "--timeout-seconds", "0.5"]);
    expect(stderr).toContain("to be finished within 500 ms");
    expect(code).toBe(5);
    writeFileSync(file, "");
    const id = /test\.gate (\S+)/.exec(stderr)?.[1] ?? "";
    expect((await show([id, "--wait"])).code).toBe(0);
  });

  test("ends with 130 on Ctrl-C, says how to look again, and leaves the task alone", async () => {
    const file = newGate();
    const cli = startCli(["task", "run", "test.gate", gateInput(file), "--wait"], here());
    await cli.waitForNote(/running/);
    cli.signal("SIGINT");
    const { code, stderr, stdout } = await cli.ended;
    const id = /taskiq-aws task show (\S+) --wait/.exec(stderr)?.[1] ?? "";
    expect(code).toBe(130);
    expect(stdout).toBe("");
    writeFileSync(file, "");
    expect((await show([id, "--wait"])).code).toBe(0);
  });

  test("an input that does not fit is 2, with the path", async () => {
    const { code, stderr } = await run(["sleep", '{"duration_seconds": "3"}']);
    expect(stderr).toContain("duration_seconds");
    expect(code).toBe(2);
  });

  test("a task that nobody defined is 2, with its name", async () => {
    const { code, stderr, stdout } = await run(["test.nothing", "--json"]);
    expect(stderr).toContain("test.nothing");
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "unknown_task", status: 422 } });
    expect(code).toBe(2);
  });
});

describe("task show", () => {
  test("shows a task as a block of facts", async () => {
    const { stdout: id } = await run(["test.echo", '{"n": 1}', "--label", "team=search"]);
    const { code, stdout } = await show([id.trim(), "--wait"]);
    expect(stdout).toMatch(/^test\.echo {2}succeeded$/m);
    expect(stdout).toMatch(new RegExp(`^  id         ${id.trim()}$`, "m"));
    expect(stdout).toMatch(/^ {2}labels {5}team=search$/m);
    expect(stdout).toMatch(/^ {2}finished {3}\d{4}-.* ago\), ran \d+ ms$/m);
    expect(stdout).toMatch(/^ {2}result {5}\{"n": ?1\}$/m);
    expect(code).toBe(0);
  });

  test("shows where a task failed, and is no failure itself without --wait", async () => {
    const { stdout } = await run(["test.refuse", '{"reason": "no"}', "--wait", "--json"]);
    const id = String(JSON.parse(stdout).task_id);
    const shown = await show([id]);
    expect(shown.stdout).toMatch(/^ {2}error {6}.*TerminalError: no$/m);
    expect(shown.stdout).toMatch(/^ {4}at .*deployment-tasks\.ts/m);
    expect(shown.code).toBe(0);
    expect((await show([id, "--wait"])).code).toBe(1);
  });

  test("a task that is not there is 3", async () => {
    const { code, stderr, stdout } = await show(["01900000-0000-7000-8000-000000000000", "--json"]);
    expect(stderr).toContain("taskiq-aws: ");
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "task_not_found", status: 404 } });
    expect(code).toBe(3);
  });
});

describe("doctor", () => {
  test("finds nothing wrong with a deployment that works", async () => {
    const { code, stdout } = await runCli(["doctor", "--url", deployment.url], { env: deployment.env });
    expect(stdout).toContain(`${deployment.url} is ready; database ok, 1 worker alive.`);
    expect(stdout).toContain("Everything is as it should be.");
    expect(code).toBe(0);
  });
});

test("migrate says that there is nothing to do", async () => {
  const { code, stdout } = await runCli(["migrate"], { env: { DATABASE_URL: deployment.env.DATABASE_URL } });
  expect(stdout).toMatch(/^The database schema is at version \d+; there was nothing to do\.$/m);
  expect(code).toBe(0);
});
