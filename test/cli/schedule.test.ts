import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../runtime/client/index.ts";
import { systemClock } from "../../runtime/clock.ts";
import { type Deployment, startDeployment } from "../client/deployment.ts";
import { until } from "../support/until.ts";
import { runCli } from "./run-cli.ts";

const NEXT_MONTH = new Date(systemClock.wallMs() + 30 * 86_400_000).toISOString().slice(0, 10);
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let deployment: Deployment;

beforeAll(async () => {
  deployment = await startDeployment();
});
afterAll(() => deployment.stop());

const run = (...args: string[]) => runCli(args, { env: { TASKIQ_URL: deployment.url } });
const schedule = (...args: string[]) => run("schedule", ...args);
const show = async (name: string) => JSON.parse((await schedule("show", name, "--json")).stdout);

describe("schedule", () => {
  test("create prints the id, and when it fires first beside it", async () => {
    const options = [
      "--cron",
      "30 2 * * 1-5",
      "--time-zone",
      "Europe/Berlin",
      "--overlap",
      "skip",
      "--catch-up",
      "all",
    ];
    const more = ["--catch-up-limit", "5", "--priority", "-3", "--queue", "default", "--label", "team=x"];
    const { code, stdout, stderr } = await schedule("create", "nightly", "test.echo", '{"n":1}', ...options, ...more);
    expect(stdout.trim()).toMatch(UUID);
    expect(stderr).toMatch(/^It fires first \d{4}-/);
    expect(code).toBe(0);
    expect(await show("nightly")).toMatchObject({
      schedule_id: stdout.trim(),
      task: "test.echo",
      input: { n: 1 },
      cron: "30 2 * * 1-5",
      time_zone: "Europe/Berlin",
      overlap: "skip",
      catch_up: "all",
      catch_up_limit: 5,
      priority: -3,
      queue: "default",
      labels: { team: "x" },
    });
  });

  test("fires by itself, and its tasks run", async () => {
    await schedule("create", "often", "test.echo", '"tick"', "--every", "1s");
    const twice = async () => {
      const shown = await show("often");
      return shown.fired >= 2 ? shown : undefined;
    };
    const { last_task_id: taskId } = await until(twice, { deadlineMs: 25_000 });
    const { stdout } = await run("task", "show", taskId, "--wait", "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      state: "succeeded",
      result: "tick",
      labels: { taskiq_aws_schedule: "often" },
    });
    expect((await schedule("delete", "often")).stdout).toBe("Schedule often is deleted.\n");
  });

  test("list shows all of them as a table, or as JSON", async () => {
    await schedule("create", "weekly", "test.echo", "--every", "7d", "--paused");
    const { stdout } = await schedule("list");
    expect(stdout).toMatch(/^NAME +STATE +TASK +WHEN +NEXT +FIRED +ID$/m);
    expect(stdout).toMatch(/^weekly +paused +test\.echo +every 7 d 0 h +- +0 +[0-9a-f-]{36}$/m);
    expect(stdout).toMatch(/^nightly +active +test\.echo +30 2 \* \* 1-5 Europe\/Berlin +in \d.* +0 +[0-9a-f-]{36}$/m);
    const listed = JSON.parse((await schedule("list", "--json")).stdout);
    expect(listed.map(({ name }: { name: string }) => name)).toEqual(["nightly", "weekly"]);
  });

  test("pause, show and resume say what it is", async () => {
    expect((await schedule("pause", "nightly")).stdout).toBe("Schedule nightly is paused.\n");
    const { stdout } = await schedule("show", "nightly");
    expect(stdout).toMatch(/^nightly {2}paused$/m);
    expect(stdout).toMatch(/^ {2}catch-up {3}all, at most 5$/m);
    expect(stdout).not.toContain("  next ");
    expect((await schedule("resume", "nightly")).stdout).toBe("Schedule nightly is active.\n");
    expect((await schedule("show", "nightly")).stdout).toMatch(/^ {2}next {7}\d{4}-.*Z \(in .*\)$/m);
  });

  test("trigger prints the id of the task", async () => {
    const { code, stdout } = await schedule("trigger", "nightly");
    expect(code).toBe(0);
    const task = await run("task", "show", stdout.trim(), "--wait", "--json");
    expect(JSON.parse(task.stdout)).toMatchObject({ state: "succeeded", result: { n: 1 } });
  });

  test("a name or an id that no schedule has is 3", async () => {
    for (const name of ["nothing", "01900000-0000-7000-8000-000000000000"]) {
      const { code, stdout } = await schedule("show", name, "--json");
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: "schedule_not_found", status: 404 } });
      expect(code).toBe(3);
    }
  });

  test.each([
    ["a wrong cron expression", ["bad", "test.echo", "--cron", "every day"], /cron: expected five fields/],
    ["a task that nobody defined", ["bad", "test.nothing", "--every", "1h"], /test\.nothing/],
    ["a name that is taken", ["nightly", "test.echo", "--every", "1h"], /"nightly" is taken/],
    ["no time at all", ["bad", "test.echo"], /expected cron or interval_seconds, got neither/],
    ["two times", ["bad", "test.echo", "--every", "1h", "--cron", "* * * * *"], /cannot be used with/],
    ["a span without its unit", ["bad", "test.echo", "--every", "90"], /Expected a time span from 1s to 365d/],
    ["another policy", ["bad", "test.echo", "--every", "1h", "--overlap", "kill"], /allow, skip/],
  ])("create with %s is 2", async (_name, args, expected) => {
    const { code, stderr, stdout } = await schedule("create", ...args);
    expect(stderr).toMatch(expected);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});

describe("task run", () => {
  const due = async (...args: string[]) => {
    const { stdout } = await run("task", "run", "test.echo", "1", ...args);
    return JSON.parse((await run("task", "show", stdout.trim(), "--json")).stdout);
  };

  test("--at starts it at that time, in any time zone", async () => {
    expect((await due("--at", `${NEXT_MONTH}T00:30+05:45`)).due_at).toBe(
      new Date(Date.parse(NEXT_MONTH) - 315 * 60_000).toISOString(),
    );
  });

  test("--delay starts it that much later", async () => {
    const task = await due("--delay", "1.5h");
    expect(Math.abs(Date.parse(task.due_at) - Date.parse(task.created_at) - 5_400_000)).toBeLessThan(5_000);
  });

  test.each([
    [["--at", `${NEXT_MONTH}T00:30`], /Expected a time with its offset/],
    [["--at", "tomorrow"], /Expected a time with its offset/],
    [["--delay", "400d"], /Expected a time span from 0s to 365d/],
    [["--delay", "1h", "--at", `${NEXT_MONTH}T00:30Z`], /cannot be used with/],
  ])("%j is 2", async (args, expected) => {
    const { code, stderr } = await run("task", "run", "test.echo", "1", ...args);
    expect(stderr).toMatch(expected);
    expect(code).toBe(2);
  });
});

describe("the client", () => {
  test("does what the API does, typed", async () => {
    const { schedules, wait, enqueue } = createClient({ baseUrl: deployment.url });
    const made = await schedules.create(
      { name: "typed", task: "test.echo", input: [1.5], intervalMs: 90_000, labels: { a: "b" }, overlap: "skip" },
      { idempotencyKey: "typed-1" },
    );
    expect(made).toMatchObject({
      name: "typed",
      state: "active",
      intervalMs: 90_000,
      cron: null,
      input: [1.5],
      fired: 0,
    });
    expect(+(made.nextAt ?? 0) - +made.createdAt).toBeGreaterThan(80_000);
    expect(await schedules.get(made.scheduleId)).toMatchObject({ scheduleId: made.scheduleId });
    const page = await schedules.list({ after: "ty", limit: 1 });
    expect(page).toMatchObject({ schedules: [{ name: "typed" }] });
    expect(await schedules.pause(made.scheduleId)).toMatchObject({ state: "paused", nextAt: null });
    expect(await schedules.resume(made.scheduleId)).toMatchObject({ state: "active" });
    const { taskId } = await schedules.trigger(made.scheduleId);
    expect(await wait(taskId)).toMatchObject({ state: "succeeded", result: [1.5] });
    expect(await schedules.delete(made.scheduleId)).toMatchObject({ name: "typed" });
    await expect(schedules.get(made.scheduleId)).rejects.toMatchObject({ code: "schedule_not_found", status: 404 });

    const notBefore = new Date(NEXT_MONTH);
    const later = await enqueue("test.echo", 1, { notBefore });
    expect((await createClient({ baseUrl: deployment.url }).get(later.taskId)).dueAt).toEqual(notBefore);
  });
});
