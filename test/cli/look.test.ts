import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient } from "../../runtime/client/index.ts";
import { type Deployment, startDeployment } from "../client/deployment.ts";
import { runCli, startCli } from "./run-cli.ts";

let deployment: Deployment;
let client: Client;
let folder = "";

beforeAll(async () => {
  deployment = await startDeployment();
  client = createClient({ baseUrl: deployment.url });
  folder = mkdtempSync(join(tmpdir(), "taskiq-cli-"));
});
afterAll(async () => {
  await deployment.stop();
  rmSync(folder, { recursive: true });
});

const env = () => ({ env: { TASKIQ_URL: deployment.url } });
const run = (...args: string[]) => runCli(args, env());
const jsonLines = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

async function submit(count: number, team: string): Promise<readonly string[]> {
  const entries = Array.from({ length: count }, () => ({ task: "test.echo", labels: { team }, delayMs: 3_600_000 }));
  return (await client.enqueueBatch(entries)).taskIds;
}

describe("task list", () => {
  test("shows tasks in columns, newest first, and says when there are more", async () => {
    const ids = await submit(5, "list");
    const { code, stdout, stderr } = await run("task", "list", "--label", "team=list", "--limit", "3");
    const [head = "", ...lines] = stdout.trimEnd().split("\n");
    expect(head).toMatch(/^ID +STATE +TASK +QUEUE +ATTEMPT +CREATED/);
    expect(lines.map((line) => line.slice(0, 36))).toEqual(ids.toReversed().slice(0, 3));
    expect(lines[0]).toMatch(/ queued {2}test\.echo {2}default {2}0 +\d+.* ago {2}due in /);
    expect(stderr).toContain("There are more.");
    expect(code).toBe(0);
  });

  test("--json prints a line a task, --all every one", async () => {
    const ids = await submit(25, "json");
    const { stdout, stderr } = await run("task", "list", "--label", "team=json", "--all", "--json");
    expect(jsonLines(stdout).map(({ taskId }) => taskId)).toEqual(ids.toReversed());
    expect(stderr).toBe("");
    const none = await run(
      "task",
      "list",
      "--label",
      "team=json",
      "--state",
      "failed,running",
      "--created-after",
      "1h",
    );
    expect(none).toMatchObject({ code: 0, stdout: "" });
    expect(none.stderr).toContain("No task matches.");
  });

  test.each([
    [["--state", "done"], "Expected states out of blocked, queued"],
    [["--created-after", "yesterday"], "Expected a time"],
    [["--limit", "0"], "Expected a whole number from 1"],
    [["--label", "team"], "Expected name=value"],
  ])("%j is a mistake that is named", async (args, message) => {
    const { code, stderr } = await run("task", "list", ...args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

describe("task cancel and task retry", () => {
  test("one task by its id", async () => {
    const [id = ""] = await submit(1, "one");
    expect(await run("task", "cancel", id, "--reason", "why")).toMatchObject({
      code: 0,
      stdout: `Task ${id} is cancelled.\n`,
    });
    expect((await client.get(id)).cancelReason).toBe("why");
    const again = await run("task", "retry", id, "--json");
    expect(JSON.parse(again.stdout)).toEqual({ task_id: id, state: "queued" });
    expect((await client.wait(id)).state).toBe("succeeded");
    expect(await run("task", "cancel", id)).toMatchObject({ code: 2, stdout: "" });
    expect(await run("task", "cancel", "01900000-0000-7000-8000-000000000000")).toMatchObject({ code: 3 });
  });

  test("many by a filter: counted first, done with --yes", async () => {
    await submit(4, "many");
    const filter = ["--label", "team=many"];
    const counted = await run("task", "cancel", ...filter);
    expect(counted).toMatchObject({ code: 0, stdout: "4 tasks match.\n" });
    expect(counted.stderr).toContain("Nothing was changed. To cancel them, add --yes.");
    expect(await run("task", "cancel", ...filter, "--yes")).toMatchObject({
      code: 0,
      stdout: "4 tasks are cancelled.\n",
    });
    expect(await run("task", "cancel", ...filter, "--yes")).toMatchObject({ code: 0, stdout: "0 tasks match.\n" });
    const retried = await run("task", "retry", ...filter, "--state", "cancelled", "--yes", "--json");
    expect(JSON.parse(retried.stdout)).toEqual({ matched: 4, changed: 4, stopping: 0, unchanged: 0, done: true });
  });

  test("neither without a target nor with two", async () => {
    const none = await run("task", "cancel", "--yes");
    expect(none.stderr).toContain("expected an id, a filter such as --task, or --all; got none of them");
    const both = await run("task", "retry", "01900000-0000-7000-8000-000000000000", "--all");
    expect(both.stderr).toContain("expected an id or a filter, got both");
    expect([none.code, both.code]).toEqual([2, 2]);
  });
});

describe("task watch", () => {
  test("shows the progress as it comes, and ends with the task's exit code", async () => {
    const file = join(folder, "gate");
    const { taskId } = await client.enqueue("test.gate", { file });
    const cli = startCli(["task", "watch", taskId], env());
    await cli.waitForNote(/running · attempt 1 · .* · 40 % · waiting at the gate/);
    writeFileSync(file, "");
    const { code, stderr } = await cli.ended;
    expect(stderr).toMatch(/✔ succeeded · attempt 1/);
    expect(code).toBe(0);
  });

  test("tells failed attempts; --json tells each event in a line", async () => {
    const { taskId } = await client.enqueue("test.refuse", { reason: "no way" });
    await client.wait(taskId);
    const { code, stderr } = await run("task", "watch", taskId);
    expect(stderr).toMatch(/^ {2}attempt 1 failed on \S+: handler_error: no way$/m);
    expect(code).toBe(1);
    const { stdout } = await run("task", "watch", taskId, "--json");
    expect(jsonLines(stdout)).toMatchObject([
      { kind: "attempt", attempt: 1, outcome: "failed" },
      { kind: "state", state: "failed" },
    ]);
  });

  test("Ctrl-C leaves the task alone", async () => {
    const [id = ""] = await submit(1, "watch");
    const cli = startCli(["task", "watch", id], env());
    await cli.waitForNote(/queued, due at/);
    cli.signal("SIGINT");
    const { code, stderr } = await cli.ended;
    expect(stderr).toContain(`taskiq-aws task watch ${id}`);
    expect(code).toBe(130);
  });
});

test("worker list is not empty while a worker runs", async () => {
  const { code, stdout } = await run("worker", "list");
  expect(stdout).toMatch(/^STATE +NAME +RUNNING/);
  expect(stdout).toMatch(/^alive +\S+ +\d+ of \d+ +default/m);
  expect(code).toBe(0);
  const { stdout: json } = await run("worker", "list", "--json");
  expect(JSON.parse(json)).toMatchObject([
    { state: "alive", slots: expect.any(Number), runningTasks: expect.any(Array) },
  ]);
});
