import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { queueBlock, queueTable } from "../../runtime/cli/queue-block.ts";
import { type Client, createClient } from "../../runtime/client/index.ts";
import { type Deployment, startDeployment } from "../client/deployment.ts";
import { until } from "../support/until.ts";
import { recordingPaper } from "./recording-paper.ts";
import { runCli } from "./run-cli.ts";

let deployment: Deployment;
let client: Client;

beforeAll(async () => {
  deployment = await startDeployment();
  client = createClient({ baseUrl: deployment.url });
});
afterAll(() => deployment?.stop());

const queue = (...args: readonly string[]) => runCli(["queue", ...args], { env: { TASKIQ_URL: deployment.url } });

/** Tasks that fail for good, and whose copies have reached the dead-letter queue. */
async function failSome(count: number): Promise<readonly string[]> {
  const { taskIds } = await client.enqueueBatch(Array.from({ length: count }, () => ({ task: "test.exhaust" })));
  for (const id of taskIds) await client.wait(id);
  await until(async () => (await client.queues.get("default")).deadLettered === count, { deadlineMs: 15_000 });
  return taskIds;
}

describe("queue list and show", () => {
  test("show each queue on a line, or one with its facts", async () => {
    await until(async () => (await client.queues.get("default")).workers === 1);
    const list = await queue("list");
    expect(list.stdout).toMatch(
      /^QUEUE +TYPE +QUEUED +RUNNING +OLDEST +DEAD +WORKERS +STATE\ndefault +standard +0 .*active\n$/,
    );
    const show = await queue("show", "default");
    expect(show.stdout).toMatch(/^default {2}active\n {2}type +standard\n/);
    expect([list.code, show.code]).toEqual([0, 0]);
    const json = JSON.parse((await queue("list", "--json")).stdout);
    expect(json.queues).toMatchObject([{ name: "default", paused: false, workers: 1 }]);
  });

  test("exit with 3 for a queue that is not there", async () => {
    for (const args of [
      ["show", "x"],
      ["pause", "x"],
      ["resume", "x"],
      ["redrive", "x"],
    ]) {
      const { code, stderr } = await queue(...args);
      expect(stderr).toContain('expected the name of a configured queue (default), got "x"');
      expect(code).toBe(3);
    }
  });
});

test("a pause keeps tasks waiting until the queue is resumed", async () => {
  const paused = await queue("pause", "default");
  expect(paused.stdout).toMatch(/^default {2}paused\n/);
  expect(paused.stdout).toMatch(/^ {2}paused +since \S+Z by anonymous$/m);
  expect(paused.stderr).toContain("taskiq-aws queue resume default");
  // The worker looks once a second: what it still takes tells when it has seen the pause.
  await until(async () => {
    const early = await client.enqueue("test.echo", 0);
    return await client.wait(early.taskId, { timeoutMs: 500 }).then(
      () => false,
      () => true,
    );
  });
  const { taskId } = await client.enqueue("test.echo", 1);
  await expect(client.wait(taskId, { timeoutMs: 1_500 })).rejects.toMatchObject({ code: "wait_timeout" });
  expect(JSON.parse((await queue("show", "default", "--json")).stdout)).toMatchObject({ paused: true });
  expect((await queue("resume", "default")).stdout).toMatch(/^default {2}active\n/);
  expect(await client.wait(taskId)).toMatchObject({ state: "succeeded" });
});

describe("queue redrive", () => {
  test("shows first what it would do, then does it with its progress, and nothing is left", async () => {
    const ids = await failSome(12);
    const dry = await queue("redrive", "default", "--dry-run");
    expect(dry.stdout).toBe("Would be: 12 redriven\n  12  test.exhaust  handler_error\n");
    expect(dry.code).toBe(0);
    expect(await client.get(ids[0] ?? "")).toMatchObject({ state: "failed", attempt: 1 });

    const first = await queue("redrive", "default", "--limit", "2", "--json");
    expect(JSON.parse(first.stdout)).toMatchObject({ queue: "default", dry_run: false, redriven: 2, done: false });
    const rest = await queue("redrive", "default");
    expect(rest.stdout).toMatch(/^\d+ redriven/);
    expect(rest.code).toBe(0);
    // What failed again meanwhile was left where it is: each task ran once more for each of the two redrives at most.
    for (const id of ids) {
      const { attempt, state } = await client.wait(id);
      expect([2, 3]).toContain(attempt);
      expect(state).toBe("failed");
    }
  });
});

test("a queue of any name stays on its line, and what was not counted is not a number", () => {
  const paper = recordingPaper({ isTerminal: true });
  const odd = {
    ...{
      type: "fifo" as const,
      order: "named" as const,
      fair: false,
      delayByPriority: false,
      ack: "finished" as const,
    },
    ...{ name: "a\u001b[2Jb", weight: 2, maxSlots: 3, pausedAt: new Date(0), pausedBy: "key\n1", queued: 10_000 },
    ...{ running: 1, oldestAgeMs: 65_000, unsent: 2, workers: 1, slots: 10, visible: null, inFlight: null },
    ...{ delayed: null, deadLettered: null, error: "The queue cannot be reached", json: "{}" },
  };
  const [, line] = queueTable([odd], paper);
  expect(line).toBe("ab     fifo  10000+  1        1 min 5 s  ?     1        paused");
  const block = queueBlock(odd, paper).split("\n");
  expect(block[0]).toBe("ab  paused");
  expect(block).toContain("  paused       since 1970-01-01T00:00:00.000Z by key 1");
  expect(block).toContain("  dead letters unknown");
  expect(block.some((one) => one.startsWith("  messages"))).toBe(false);
});
