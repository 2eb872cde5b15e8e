/** `ctx.pipes`: the session of a task that a Dagster asset started. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Context } from "../../runtime/define/context.ts";
import { defineTask, type TaskOptions } from "../../runtime/define/task.ts";
import { NO_PIPES } from "../../runtime/pipes/session.ts";
import { encoded, sessionContext } from "./handed-over.ts";

const SESSION = sessionContext({ asset_keys: ["made"], extras: { size: 100 } });

let folder: string;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pipes-task-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Options = TaskOptions<z.ZodUnknown, unknown>;
const task = (run: Options["run"], pipes?: Options["pipes"]) =>
  defineTask({ name: "piped", input: z.unknown(), run, ...(pipes && { pipes }) });

function started(): { ctx: Context; messages: () => Promise<{ method: string; params: Record<string, unknown> }[]> } {
  const path = join(folder, `messages-${++count}`);
  const labels = {
    "dagster/pipes_context": encoded({ data: SESSION }),
    "dagster/pipes_messages": encoded({ path }),
  };
  return {
    ctx: { labels, pipes: NO_PIPES } as unknown as Context,
    messages: async () =>
      (await readFile(path, "utf8"))
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
  };
}

describe("a task that Dagster started", () => {
  test("reports through its context, between the opening and the closing of its session", async () => {
    const { ctx, messages } = started();
    const definition = task(
      (_, { pipes }) => {
        pipes.reportMaterialization({ metadata: { rows: 3 } });
        return pipes.context?.extras;
      },
      { folder },
    );
    await expect(definition.run(null, ctx)).resolves.toEqual({ size: 100 });
    expect((await messages()).map(({ method }) => method)).toEqual([
      "opened",
      "report_asset_materialization",
      "closed",
    ]);
  });

  test("tells what its handler threw", async () => {
    const { ctx, messages } = started();
    const definition = task(
      () => {
        throw new RangeError("too far");
      },
      { folder },
    );
    await expect(definition.run(null, ctx)).rejects.toThrow("too far");
    expect((await messages()).at(-1)).toMatchObject({
      method: "closed",
      params: { exception: { message: "RangeError: too far\n" } },
    });
  });

  test("may not go where its definition does not say", async () => {
    const { ctx } = started();
    let ran = false;
    const definition = task(
      () => {
        ran = true;
      },
      { bucket: "pipes" },
    );
    await expect(definition.run(null, ctx)).rejects.toThrow(/expected one in no folder/);
    expect(ran).toBe(false);
  });

  test("reports to nobody where its definition says nothing of Pipes", async () => {
    const { ctx, messages } = started();
    const definition = task((_, { pipes }) => {
      pipes.reportMaterialization();
      pipes.reportMaterialization();
      return pipes.context;
    });
    expect(await definition.run(null, ctx)).toBeNull();
    await expect(messages()).rejects.toThrow("ENOENT");
  });
});

test("a task that Dagster did not start runs the same code", async () => {
  const definition = task(
    (_, { pipes }) => {
      pipes.log.info("hello");
      pipes.reportCheck({ name: "enough", passed: true });
      return pipes.context;
    },
    { folder: "/nowhere" },
  );
  await expect(definition.run(null, { labels: {}, pipes: NO_PIPES } as unknown as Context)).resolves.toBeNull();
});

test.each([
  ["nothing", {}, /pipes: expected bucket, folder or both/],
  ["an unknown place", { folder: "/a", topic: "b" }, /topic/],
  ["an interval of nothing", { bucket: "b", intervalMs: 0 }, /pipes.intervalMs: .*got 0/],
])("a definition whose session may use %s is refused", (_, pipes, message) => {
  expect(() => task(() => null, pipes as Options["pipes"])).toThrow(message);
});
