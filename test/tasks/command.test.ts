/** Real programs, run as a worker runs them: from the row to the recorded outcome. Longer than most: there are many ways to end. */
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import type { TaskDefinition } from "../../runtime/define/task.ts";
import { createProcessGroups } from "../../runtime/isolation/groups.ts";
import { commandTask } from "../../runtime/tasks/command.ts";
import { TAIL_BYTES } from "../../runtime/tasks/command-output.ts";
import { TASKS } from "../../runtime/tasks/index.ts";
import { childGroups, groupIsGone } from "../isolation/processes.ts";
import { isAlive } from "../support/processes.ts";
import { ask, readTask, type TaskRow } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { useRig } from "../worker/rig.ts";

const rig = useRig();

const ENVIRONMENT = {
  ...process.env,
  AWS_SECRET_ACCESS_KEY: "s3cret",
  DATABASE_URL: "postgres://u:pw@h/d",
  SOME: "thing",
};

function command(envNames: readonly string[] = [], inheritedNames: readonly string[] = []): TaskDefinition {
  const groups = createProcessGroups();
  onTestFinished(groups.close);
  return commandTask({ groups, environment: ENVIRONMENT, envNames, inheritedNames });
}

const sh = (script: string, ...args: string[]) => ["sh", "-c", script, "sh", ...args];

async function begin(
  input: object,
  { task = command(), slots = 2, maxAttempts = 1, graceMs = 400 } = {},
): Promise<string> {
  rig.start({ tasks: [task], settings: { slots } });
  return await submit(input, { maxAttempts, graceMs });
}

async function submit(input: object, { maxAttempts = 1, graceMs = 400 } = {}): Promise<string> {
  const [id] = await rig.submit([
    { name: "command", isolation: "command", input: JSON.stringify(input), maxAttempts, graceMs },
  ]);
  return id ?? "";
}

async function ended(id: string): Promise<TaskRow> {
  return await until(async () => {
    const row = await readTask(rig.database, id);
    return row.finished && row;
  });
}

async function outcomeOf(input: object, task?: TaskDefinition): Promise<TaskRow> {
  return await ended(await begin(input, { ...(task && { task }) }));
}

type Stream = { tail: string; bytes: number; truncated: boolean };
type Result = { exitCode: number; signal: null; stdout: Stream; stderr: Stream; outputRef: string | null };

async function resultOf(input: object, task?: TaskDefinition): Promise<Result> {
  const row = await outcomeOf(input, task);
  expect(row.state, row.error ?? "").toBe("succeeded");
  const text = row.result_ref === null ? row.result : await rig.payloads.get(row.result_ref);
  return JSON.parse(text ?? "null") as Result;
}

async function errorOf(input: object, task?: TaskDefinition): Promise<{ code: string; message: string }> {
  const row = await outcomeOf(input, task);
  expect(row.state).toBe("failed");
  return JSON.parse(row.error ?? "null") as { code: string; message: string };
}

/** Numbers the command writes into a file, which its standard output cannot tell while it runs. */
async function pidsFrom(path: string): Promise<number[]> {
  return await until(async () => {
    const words = (await readFile(path, "utf8")).trim().split(/\s+/);
    return words.length === 2 && words.map(Number);
  });
}

describe("a command", () => {
  test("gets its arguments as they are, without a shell, and its exit code and output are the result", async () => {
    const argv = ["printf", "%s|", "a b", "$HOME", "; rm -rf /", "*", "ä😀", ""];
    expect(await resultOf({ argv })).toEqual({
      exitCode: 0,
      signal: null,
      stdout: { tail: "a b|$HOME|; rm -rf /|*|ä😀||", bytes: 31, truncated: false },
      stderr: { tail: "", bytes: 0, truncated: false },
      outputRef: null,
    });
  });

  test("gets its standard input and its folder, and its streams are kept apart", async () => {
    const result = await resultOf({ argv: sh("cat; pwd; echo oops >&2"), stdin: "läuft\u0000\n", cwd: "/" });
    expect(result).toMatchObject({ stdout: { tail: "läuft\u0000\n/\n" }, stderr: { tail: "oops\n" } });
  });

  test("need not read its standard input", async () => {
    expect(await resultOf({ argv: ["true"], stdin: "x".repeat(300_000) })).toMatchObject({ exitCode: 0 });
  });

  test("has no credentials and no settings of the worker, and what its caller may set", async () => {
    const { stdout } = await resultOf({ argv: ["env"], env: { RUN_ID: "r 1" } }, command(["RUN_ID"]));
    const names = stdout.tail.split("\n").flatMap((line) => line.split("=")[0] ?? []);
    expect(names).toEqual(expect.arrayContaining(["PATH", "HOME", "RUN_ID"]));
    for (const name of ["AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "SOME", "VITEST"]) expect(names).not.toContain(name);
    expect(stdout.tail).toContain("RUN_ID=r 1\n");
    expect(stdout.tail).toContain("AWS_EC2_METADATA_DISABLED=true\n");
  });

  test("has the worker's own variables that it was configured to have, and its credentials where the caller asks for them", async () => {
    const { stdout } = await resultOf({ argv: ["env"], awsCredentials: "inherit" }, command([], ["SOME"]));
    expect(stdout.tail).toContain("SOME=thing\n");
    expect(stdout.tail).toContain("AWS_SECRET_ACCESS_KEY=s3cret\n");
    expect(stdout.tail).not.toContain("AWS_EC2_METADATA_DISABLED");
    expect(stdout.tail).not.toContain("DATABASE_URL");
  });

  test("with a variable that nobody allowed does not run", async () => {
    const error = await errorOf({ argv: ["env"], env: { LD_PRELOAD: "/tmp/x.so" } }, command(["RUN_ID"]));
    expect(error).toMatchObject({
      code: "input_invalid",
      message: expect.stringContaining("TASKIQ_COMMAND_ENV (RUN_ID)"),
    });
  });

  test("is not among the tasks that every process has, and is there only where it was made", () => {
    expect(TASKS.map(({ name }) => name)).not.toContain("command");
    expect(command().policy.isolation).toBe("command");
  });
});

describe("a command that fails", () => {
  test("by its exit code: the error has the code and the end of standard error", async () => {
    const error = await errorOf({ argv: sh("echo working; seq 1000 >&2; echo no such table >&2; exit 3") });
    expect(error.code).toBe("command_failed");
    expect(error.message).toMatch(/"sh" exited with code 3\. The end of stderr: .*1000\nno such table$/s);
    expect(error.message.length).toBeLessThan(4_000);
  });

  test("without a word there, of standard output", async () => {
    expect((await errorOf({ argv: sh("echo only this; exit 1") })).message).toMatch(/end of stdout: only this$/);
    expect((await errorOf({ argv: ["false"] })).message).toMatch(/exited with code 1\. It wrote nothing\.$/);
  });

  test("by a signal of its own", async () => {
    expect(await errorOf({ argv: sh("kill -SEGV $$") })).toMatchObject({
      code: "command_failed",
      message: expect.stringContaining("was ended by SIGSEGV"),
    });
  });

  test("is tried again by the policy", async () => {
    const id = await begin({ argv: ["false"] }, { maxAttempts: 3 });
    await until(async () => (await readTask(rig.database, id)).failures >= 1);
    expect((await readTask(rig.database, id)).state).toBe("queued");
  });

  test.each<[string, object, string]>([
    ["there is no such program", { argv: ["no-such-program"] }, "got ENOENT"],
    ["it is no program", { argv: ["/etc/passwd"] }, "got EACCES"],
    ["there is no such folder", { argv: ["true"], cwd: "/nowhere" }, 'got "/nowhere"'],
    ["everything together is too long", { argv: ["true", ...Array(40).fill("x".repeat(100_000))] }, "use stdin"],
  ])("because %s: the error says so", async (_what, input, said) => {
    expect(await errorOf(input)).toMatchObject({ code: "command_not_started", message: expect.stringContaining(said) });
  });
});

describe("output", () => {
  test("beyond the tail is stored whole, and the result has its end", async () => {
    const result = await resultOf({ argv: sh("seq 20000; echo ä >&2") });
    const whole = Array.from({ length: 20_000 }, (_, n) => `${n + 1}\n`).join("");
    expect(result.stdout).toEqual({ tail: whole.slice(-TAIL_BYTES), bytes: whole.length, truncated: true });
    expect(JSON.parse(await rig.payloads.get(result.outputRef ?? ""))).toEqual({ stdout: whole, stderr: "ä\n" });
  });

  test("beyond maxOutputBytes is counted, and its end is stored", async () => {
    const input = { argv: sh("yes 0123456789abcde | head -c 3000000; echo end"), maxOutputBytes: 100_000 };
    const result = await resultOf(input);
    expect(result.stdout).toMatchObject({ bytes: 3_000_004, truncated: true });
    const { stdout } = JSON.parse(await rig.payloads.get(result.outputRef ?? "")) as { stdout: string };
    expect(stdout).toHaveLength(100_000);
    expect(stdout.endsWith("0123456789abcde\nend\n")).toBe(true);
  });

  test("that grows too large as JSON is stored as far as it fits", async () => {
    // Every byte takes six as JSON, and the store of this rig takes 1,000,000.
    const result = await resultOf({ argv: sh("head -c 400000 /dev/zero | tr '\\0' '\\1'") });
    const { stdout } = JSON.parse(await rig.payloads.get(result.outputRef ?? "")) as { stdout: string };
    expect(stdout).toBe("\u0001".repeat(100_000));
  });

  test("of a command that failed is stored too, and the error says where", async () => {
    const { message } = await errorOf({ argv: sh("seq 20000; exit 1") });
    const [, ref] = /All of its output: (\S+)\. /.exec(message) ?? [];
    expect(JSON.parse(await rig.payloads.get(ref ?? ""))).toMatchObject({ stdout: expect.stringMatching(/^1\n2\n/) });
  });

  test("that is not UTF-8, or begins within a character, is text all the same", async () => {
    const result = await resultOf({ argv: sh("printf '\\377\\376'; yes äöü | head -c 30001") });
    expect(result.stdout.tail).toMatch(/^[äöü\n]+\ufffd?$/);
    expect((await resultOf({ argv: ["printf", "\\377"] })).stdout.tail).toBe("\ufffd");
  });
});

describe("a string too long for Linux", () => {
  const long = `${"ä".repeat(70_000)}end`;

  test("goes by a file: an argument as @ and its path, a variable as NAME_FILE; the files are gone afterwards", async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's, without the @ in front.
    const script = 'cat "${1#@}" | wc -c; cat "$BIG_FILE" | wc -c; echo "$1"; echo "$BIG_FILE"; stat -c %a "${1#@}"';
    const { stdout } = await resultOf({ argv: sh(script, long), env: { BIG: long } }, command(["BIG"]));
    const [argument, variable, given = "", file = "", mode] = stdout.tail.trim().split("\n");
    expect([argument, variable, mode]).toEqual(["140003", "140003", "600"]);
    expect(given).toMatch(/^@\//);
    expect([existsSync(given.slice(1)), existsSync(file)]).toEqual([false, false]);
  });

  test("and the longest that is not goes as it is", async () => {
    const script = 'printf %s "$1" | wc -c; printf %s "$BIG" | wc -c';
    const input = { argv: sh(script, "x".repeat(131_071)), env: { BIG: "x".repeat(131_067) } };
    expect((await resultOf(input, command(["BIG"]))).stdout.tail).toBe("131071\n131067\n");
  });
});

describe("ending a command", () => {
  const CANCEL = "update taskiq.task set cancel_requested_at = now() where id = $1";

  test("cancelled, and it traps SIGTERM: it is dead after the grace time with all it started, and its slot serves the next", async () => {
    const path = `/tmp/taskiq-command-test-${process.pid}`;
    onTestFinished(() => rm(path, { force: true }));
    const id = await begin(
      { argv: sh(`trap "" TERM; sleep infinity & echo $$ $! > ${path}; sleep infinity`) },
      { slots: 1 },
    );
    const [shell = -1, sleep = -1] = await pidsFrom(path);
    expect([isAlive(shell), isAlive(sleep)]).toEqual([true, true]);
    await ask(rig.database, CANCEL, [id]);
    const startedMs = systemClock.nowMs();
    expect(await ended(id)).toMatchObject({ state: "cancelled", failures: 0 });
    // Noticed within a second, 400 ms of grace.
    expect(systemClock.nowMs() - startedMs).toBeLessThan(4_000);
    await until(() => groupIsGone(shell));
    expect(isAlive(sleep)).toBe(false);
    expect(rig.events("slot.leaked")).toEqual([]);
    expect(await ended(await submit({ argv: ["true"] }))).toMatchObject({ state: "succeeded" });
  });

  test("cancelled, and it ends at SIGTERM with code 0: it is cancelled all the same, at once", async () => {
    const id = await begin({ argv: sh('trap "exit 0" TERM; while :; do sleep 0.05; done') }, { graceMs: 60_000 });
    await until(() => childGroups().leaders.length >= 2);
    await ask(rig.database, CANCEL, [id]);
    expect(await ended(id)).toMatchObject({ state: "cancelled" });
  });

  test("by its timeoutMs: a failure that says so, with what it wrote", async () => {
    const error = await errorOf({ argv: sh("echo so far; exec sleep infinity"), timeoutMs: 300 });
    expect(error).toMatchObject({ code: "timeout", message: expect.stringMatching(/timeoutMs of 300 .*so far$/s) });
  });

  test("by the drain of its worker: it is queued again at no cost", async () => {
    const worker = rig.start({ tasks: [command()], settings: { graceMs: 200 } });
    const id = await submit({ argv: sh('trap "" TERM; while :; do sleep 1; done') }, { graceMs: 60_000 });
    await until(async () => (await readTask(rig.database, id)).state === "running");
    await until(() => childGroups().leaders.length >= 2);
    const before = childGroups().leaders;
    await worker.drain();
    expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", failures: 0, losses: 0 });
    await until(() => before.filter((pid) => !groupIsGone(pid)).length <= 1, { what: "none but the guard" });
  });

  test("leaves nothing behind that it put into the background, and does not wait for it", async () => {
    const { stdout } = await resultOf({ argv: sh("sleep infinity & echo $!") });
    await until(() => !isAlive(Number(stdout.tail)));
  });
});
