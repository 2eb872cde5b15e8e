/** `npm run demo`, with a database and an emulator of the test in place of its own. */
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Run, RunStep } from "../runtime/client/run.ts";
import { runLines } from "../runtime/demo-run.ts";
import { welcomeLines } from "../runtime/demo-welcome.ts";
import { freePort } from "../runtime/local/ports.ts";
import { runCli } from "./cli/run-cli.ts";
import { startTestAws, type TestAws } from "./support/aws.ts";
import { createTestDatabase, type TestDatabase } from "./support/database.ts";

let database: TestDatabase;
let aws: TestAws;

beforeAll(async () => {
  [database, aws] = await Promise.all([createTestDatabase(), startTestAws()]);
});
afterAll(async () => {
  await aws.stop();
  await database.drop();
});

describe("npm run demo", () => {
  test("--exit runs twenty tasks and a job, and shows how long its steps took", { timeout: 60_000 }, async () => {
    const port = String(await freePort());
    const { code, stdout, stderr } = await runCli(["demo", "--exit", "--port", port], {
      env: { ...aws.env, DATABASE_URL: database.url },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stripVTControlCharacters(stdout).split("\n");
    expect(lines).toContainEqual(expect.stringMatching(/^20 of 20 tasks succeeded in [\d.]+ s/));
    const at = lines.findIndex((line) => /^run of etl succeeded: 4 steps in /.test(line));
    expect(lines.slice(at + 1, at + 7)).toEqual([
      expect.stringMatching(/^ {2}✔ {2}extract +[\d.]+ m?s +[░█]{24}$/),
      expect.stringMatching(/^ {2}✔ {2}parse +[\d.]+ m?s +[░█]{24} {2}12 of 12 elements$/),
      expect.stringMatching(/^ {2}✔ {2}load +[\d.]+ m?s +[░█]{24}$/),
      expect.stringMatching(/^ {2}✔ {2}report +[\d.]+ m?s +░*█+$/),
      '  {"total":{"files":12,"rows":12000,"sum":5992268},"text":"12000 rows of 12',
      '  files add up to 5992268."}',
    ]);
  });
});

describe("the welcome", () => {
  const parts = [
    { name: "Postgres", where: "postgres://taskiq@127.0.0.1:65535/postgres" },
    { name: "SQS and S3", where: "http://127.0.0.1:65535" },
  ];
  const of = (port: number): string[] =>
    welcomeLines({ baseUrl: `http://127.0.0.1:${port}`, parts, workers: 2, slots: 5, startedInMs: 12_345 }).map(
      stripVTControlCharacters,
    );

  test("fits a terminal of 80 columns and 24 lines, with a line for the cursor", () => {
    expect(of(8_080).length).toBeLessThan(24);
    expect([...of(8_080), ...of(65_535)].filter((line) => line.length > 80)).toEqual([]);
  });

  test("names the address where the command line would not find it by itself", () => {
    expect(of(8_080)).toContain("  npx taskiq-aws run start etl --watch");
    expect(of(9_000)).toContain("  npx taskiq-aws run start etl --watch --url http://127.0.0.1:9000");
  });
});

describe("the table of a run", () => {
  const EPOCH = Date.parse("2026-01-01T00:00:00Z");
  const at = (ms: number | null) => (ms === null ? null : new Date(EPOCH + ms));

  function step(key: string, fields: Partial<RunStep>, startMs: number | null, endMs: number | null): RunStep {
    const times = { startedAt: at(startMs), finishedAt: at(endMs) };
    const durationMs = startMs === null || endMs === null ? null : endMs - startMs;
    // As much of a step as the table shows.
    return {
      key,
      state: "succeeded",
      elements: null,
      error: null,
      attempt: 1,
      durationMs,
      ...times,
      ...fields,
    } as RunStep;
  }

  function linesOf(state: Run["state"], steps: readonly RunStep[], result: unknown = null): string[] {
    // As much of a run.
    const run = { job: "etl", state, steps, result, createdAt: at(0), finishedAt: at(2_400) } as unknown as Run;
    return runLines(run).map(stripVTControlCharacters);
  }

  test("shows where in the run each step was", () => {
    expect(linesOf("succeeded", [step("a", {}, 0, 1_200), step("b", {}, 1_200, 2_400)], { n: 1 })).toEqual([
      "run of etl succeeded: 2 steps in 2.4 s",
      "  ✔  a  1.2 s  ████████████░░░░░░░░░░░░",
      "  ✔  b  1.2 s  ░░░░░░░░░░░░████████████",
      '  {"n":1}',
    ]);
  });

  test("shows the shortest step, and what did not succeed with its reason", () => {
    const error = { code: "handler_error", type: "Error", message: "no\nluck" };
    expect(
      linesOf("failed", [
        step("a", {}, 2_400, 2_400),
        step("b", { state: "failed", error, attempt: 3 }, 0, 100),
        step("c", { state: "skipped" }, null, null),
      ]),
    ).toEqual([
      "run of etl failed: 3 steps in 2.4 s",
      "  ✔  a  0 ms     ░░░░░░░░░░░░░░░░░░░░░░░█",
      "  ✖  b  100 ms   █░░░░░░░░░░░░░░░░░░░░░░░  attempt 3 · handler_error: no luck",
      "  ↷  c  skipped",
    ]);
  });
});
