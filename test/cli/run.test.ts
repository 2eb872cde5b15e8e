import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient } from "../../runtime/client/index.ts";
import type { Graph } from "../../runtime/model/graph.ts";
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
const NOBODY = "01900000-0000-7000-8000-000000000000";
const FAILING: Graph = {
  steps: [
    { key: "good", task: "test.echo", input: { n: 1 } },
    { key: "bad", task: "test.refuse", input: { reason: "no way" }, after: ["good"] },
    { key: "last", task: "test.echo", after: ["bad"] },
  ],
};
const LATER: Graph = { steps: [{ key: "wait", task: "test.gate", input: { file: "/nowhere/gate" }, grace_ms: 100 }] };

function fileOf(graph: Graph): string {
  const file = join(folder, "graph.json");
  writeFileSync(file, JSON.stringify(graph));
  return file;
}

const jsonLines = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("job", () => {
  test("list and show tell what there is", async () => {
    const list = await run("job", "list");
    expect(list.stdout).toMatch(/^NAME +STEPS +MODE +DESCRIPTION$/m);
    expect(list.stdout).toMatch(/^etl +4 +orchestrated/m);
    const show = await run("job", "show", "etl");
    expect(show.stdout).toMatch(/^ {2}parse +etl\.parse for each +after extract$/m);
    expect(JSON.parse((await run("job", "show", "etl", "--json")).stdout).graph.steps).toHaveLength(4);
    expect(await run("job", "show", "nothing")).toMatchObject({ code: 3, stdout: "" });
  });
});

describe("run start", () => {
  test("prints the id alone, or with --watch the steps and the result", async () => {
    const args = ["run", "start", "etl", "--input", '{"files":3,"rows":10}'];
    const { code, stdout } = await run(...args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[0-9a-f-]{36}\n$/);
    const watched = await run(...args, "--watch");
    expect(watched.code, watched.stderr).toBe(0);
    expect(watched.stderr).toMatch(/^etl [0-9a-f-]{36}$/m);
    expect(watched.stderr).toMatch(/^ {2}parse\[2\] succeeded · /m);
    expect(watched.stderr).toMatch(/^✔ succeeded · 7 steps · took /m);
    expect(JSON.parse(watched.stdout)).toMatchObject({ total: { files: 3, rows: 30 } });
  });

  test("--watch ends with the exit code of the run, and tells why a step failed", async () => {
    const failed = await run("run", "start", "--graph", fileOf(FAILING), "--watch");
    expect(failed.code).toBe(1);
    expect(failed.stdout).toBe("");
    expect(failed.stderr).toMatch(/^ {2}bad failed · .*: handler_error: no way$/m);
    expect(failed.stderr).toMatch(/^ {2}last skipped$/m);
    expect(failed.stderr).toMatch(/^✖ failed · 3 steps · 1 failed · 1 skipped · took /m);
  });

  test("--json prints the events", async () => {
    const { code, stdout } = await run("run", "start", "--graph", fileOf(FAILING), "--watch", "--json");
    expect(code).toBe(1);
    const events = jsonLines(stdout);
    expect(
      events.filter(({ kind }) => kind === "step").map(({ key, change, state }) => `${key} ${change} ${state}`),
    ).toEqual(["good start running", "good end succeeded", "bad start running", "bad end failed", "last end skipped"]);
    expect(events.at(-1)).toMatchObject({ kind: "run", state: "failed" });
  });

  test("the same in one task", async () => {
    const args = ["--mode", "simple", "--label", "by=test", "--priority", "3", "--watch"];
    const { code, stdout, stderr } = await run("run", "start", "etl", "--input", '{"files":2,"rows":5}', ...args);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^ {2}parse\[1\] succeeded/m);
    expect(JSON.parse(stdout)).toMatchObject({ total: { files: 2, rows: 10 } });
    const [newest] = (await client.runs.page({ labels: { by: "test" } })).runs;
    expect(newest).toMatchObject({ mode: "simple", priority: 3, state: "succeeded" });
  });

  test("reads the graph from standard input, and the same key starts it once", async () => {
    const args = ["run", "start", "--graph", "-", "--idempotency-key", "once", "--json"];
    const options = { ...env(), stdin: JSON.stringify({ steps: [{ key: "a", task: "test.echo" }] }) };
    const [first, second] = [await runCli(args, options), await runCli(args, options)];
    expect(JSON.parse(first.stdout)).toEqual({ run_id: expect.any(String), state: "running" });
    expect(second.stdout).toBe(first.stdout);
  });

  test("a graph that is wrong is a mistake that names the step", async () => {
    const wrong: Graph = { steps: [{ key: "load", task: "nothing" }] };
    const { code, stderr, stdout } = await run("run", "start", "--graph", fileOf(wrong), "--json");
    expect(code).toBe(2);
    expect(stderr).toContain("steps.load.task");
    expect(JSON.parse(stdout).error).toMatchObject({ code: "graph_invalid", issues: [{ path: "steps.load.task" }] });
  });

  test.each([
    [["run", "start"], "expected the name of a job or --graph, got neither"],
    [["run", "start", "etl", "--graph", "x.json"], "expected the name of a job or --graph, got both"],
    [["run", "start", "--graph", "/nowhere.json"], "ENOENT"],
    [["run", "start", "etl", "--input", "{"], "expected JSON"],
    [["run", "start", "nothing"], "expected the name of a job"],
    [["run", "start", "etl", "--mode", "fast"], "Allowed choices are orchestrated, simple"],
    [["run", "reexecute", NOBODY], "expected one of --from-failure, --steps and --all, got none of them"],
    [["run", "reexecute", NOBODY, "--all", "--steps", "a"], "got several"],
    [["run", "reexecute", NOBODY, "--steps", "a b"], "Expected keys of steps"],
    [["run", "list", "--state", "done"], "Expected states out of running, succeeded"],
  ])("%j is a mistake that is named", async (args, message) => {
    const { code, stderr } = await run(...args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

describe("run watch, show and list", () => {
  test("Ctrl-C leaves the run alone", async () => {
    const { runId } = await client.runs.start({ graph: LATER });
    const cli = startCli(["run", "watch", runId], env());
    await cli.waitForNote(/wait started/);
    cli.signal("SIGINT");
    const { code, stderr } = await cli.ended;
    expect(stderr).toContain(`taskiq-aws run watch ${runId}`);
    expect(code).toBe(130);
    expect((await client.runs.get(runId)).state).toBe("running");
    await client.runs.cancel(runId);
  });

  test("show tells the steps with their errors", async () => {
    const { runId } = await client.runs.start({ graph: FAILING, labels: { by: "show" } });
    await client.runs.wait(runId);
    const { code, stdout } = await run("run", "show", runId);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^run of a graph {2}failed$/m);
    expect(stdout).toMatch(/^ {2}steps +1 succeeded, 1 failed, 1 skipped$/m);
    expect(stdout).toMatch(/^ {2}✖ {2}bad +failed +\d.*\n {6}handler_error: no way$/m);
    expect(stdout).toMatch(/^ {2}↷ {2}last +skipped$/m);
    expect(JSON.parse((await run("run", "show", runId, "--json")).stdout)).toMatchObject({
      run_id: runId,
      state: "failed",
    });
    const list = await run("run", "list", "--label", "by=show", "--state", "failed");
    expect(list.stdout).toMatch(new RegExp(`^${runId} +failed +- +3/3 +.* ago +1 failed · took `, "m"));
    expect(jsonLines((await run("run", "list", "--label", "by=show", "--json")).stdout)).toMatchObject([{ runId }]);
    expect((await run("run", "list", "--job", "nothing")).stderr).toContain("No run matches.");
    for (const verb of ["show", "watch", "cancel", "resume"])
      expect((await run("run", verb, NOBODY)).code, verb).toBe(3);
  });
});

describe("run cancel, resume and reexecute", () => {
  test("a run that is cancelled ends with its own exit code", async () => {
    const { runId } = await client.runs.start({ graph: LATER });
    const watching = startCli(["run", "watch", runId], env());
    await watching.waitForNote(/wait started/);
    expect((await run("run", "resume", runId, "--json")).stdout).toContain('"state":"running"');
    const cancelled = await run("run", "cancel", runId, "--reason", "enough");
    expect(cancelled.stdout).toBe(`Run ${runId} is being stopped: some of its steps run.\n`);
    const { code, stderr } = await watching.ended;
    expect(stderr).toMatch(/^⊘ cancelled/m);
    expect(code).toBe(4);
    expect(await run("run", "cancel", runId)).toMatchObject({ code: 0, stdout: `Run ${runId} is cancelled.\n` });
    expect((await client.runs.get(runId)).cancelReason).toBe("enough");
  });

  test("reexecute keeps what succeeded, and runs the rest", async () => {
    const { runId } = await client.runs.start({ graph: FAILING });
    await client.runs.wait(runId);
    const again = await run("run", "reexecute", runId, "--from-failure", "--watch");
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/^ {2}1 result is kept$/m);
    expect(again.stderr).toMatch(/^ {2}bad started$/m);
    expect(again.stderr).not.toMatch(/^ {2}good started$/m);
    const chosen = await run("run", "reexecute", runId, "--steps", "good*", "--watch");
    expect(chosen.stderr).toMatch(/^ {2}good started$/m);
    const all = await run("run", "reexecute", runId, "--all", "--json");
    const { run_id: third } = JSON.parse(all.stdout);
    expect(await client.runs.get(third)).toMatchObject({ parentRunId: runId, rootRunId: runId });
  });
});
