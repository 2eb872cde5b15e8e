/** What a session refuses, because the reader would stop at it without a word, and where it may be sent. */
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PipesObjects } from "../../runtime/pipes/channel.ts";
import { openPipes, type Pipes, withPipes } from "../../runtime/pipes/index.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";
import { encoded, sessionContext } from "./handed-over.ts";

const CONTEXT = sessionContext({ extras: { a: 1 } });

let folder: string;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pipes-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function open(context: object = CONTEXT): Promise<{ pipes: Pipes; lines: () => Promise<string[]> }> {
  const path = join(folder, `messages-${++count}`);
  const env = { DAGSTER_PIPES_CONTEXT: encoded({ data: context }), DAGSTER_PIPES_MESSAGES: encoded({ path }) };
  const pipes = await openPipes({ env });
  return {
    pipes,
    async lines() {
      await pipes.close();
      return (await readFile(path, "utf8")).split("\n");
    },
  };
}

describe("a session", () => {
  test("that nobody has opened takes reports and hands them to nobody", async () => {
    const said = await withPipes({ env: {}, labels: {} }, async (pipes) => {
      pipes.log.info("hello");
      pipes.reportMaterialization({ metadata: { rows: 1 } });
      pipes.reportMaterialization();
      pipes.reportCheck({ name: "c", passed: true });
      return pipes.context;
    });
    expect(said).toBeNull();
  });

  test("writes one line a message, each with a line break behind it and none in it", async () => {
    const { pipes, lines } = await open();
    pipes.log.error("two\nlines\u2028and more");
    const written = await lines();
    expect(written.map((line) => (line === "" ? "" : (JSON.parse(line) as { method: string }).method))).toEqual([
      "opened",
      "log",
      "closed",
      "",
    ]);
  });

  test("writes no half characters", async () => {
    const { pipes, lines } = await open();
    pipes.reportCustomMessage({ text: "a\ud800b" });
    expect((await lines())[1]).toContain('"a\ufffdb"');
  });

  test("ends with the error of its work, which is thrown on", async () => {
    const path = join(folder, "thrown");
    const env = { DAGSTER_PIPES_CONTEXT: encoded({ data: CONTEXT }), DAGSTER_PIPES_MESSAGES: encoded({ path }) };
    const work = withPipes({ env }, async () => {
      throw new RangeError("too far", { cause: "a text" });
    });
    await expect(work).rejects.toThrow("too far");
    const last = JSON.parse((await readFile(path, "utf8")).trim().split("\n").at(-1) ?? "{}");
    expect(last.params.exception).toMatchObject({
      message: "RangeError: too far\n",
      name: "RangeError",
      context: null,
    });
    expect(last.params.exception.stack[0]).toMatch(/^\s+at .*\n$/);
    expect(last.params.exception.cause).toEqual({
      message: "a text",
      stack: [],
      name: null,
      cause: null,
      context: null,
    });
  });

  test("takes nothing after its end", async () => {
    const { pipes } = await open();
    await pipes.close();
    expect(() => pipes.log.info("late")).toThrow(/it is closed/);
    await pipes.close();
  });
});

describe("a report is refused", () => {
  test.each<[string, (pipes: Pipes) => void, RegExp]>([
    ["without saying which of two assets", (pipes) => pipes.reportMaterialization(), /one of one, two, got none/],
    ["for an asset of another step", (pipes) => pipes.reportMaterialization({ assetKey: "x" }), /got x/],
    [
      "with a number that JSON has not",
      (pipes) => pipes.reportCustomMessage({ a: Number.NaN }),
      /finite number at "a"/,
    ],
    ["with a bigint", (pipes) => pipes.reportCustomMessage({ b: 1n }), /expected JSON at "b", got bigint/],
    ["without a payload", (pipes) => pipes.reportCustomMessage(undefined), /expected JSON at "payload"/],
    [
      "with a value of another type",
      (pipes) => pipes.reportMaterialization({ assetKey: "one", metadata: { n: { type: "int", value: 1.5 } } }),
      /metadata "n": expected a value of type int, got 1.5/,
    ],
    [
      "with a type that there is not",
      // Callers without types may hand over anything.
      (pipes) =>
        pipes.reportMaterialization({ assetKey: "one", metadata: { n: { type: "colour" as "text", value: "red" } } }),
      /type colour/,
    ],
  ])("%s, and the session goes on", async (_, report, message) => {
    const { pipes, lines } = await open();
    expect(() => report(pipes)).toThrow(message);
    pipes.reportMaterialization({ assetKey: "one" });
    expect(await lines()).toHaveLength(4);
  });

  test("when its asset was reported before", async () => {
    const { pipes } = await open();
    pipes.reportMaterialization({ assetKey: "one" });
    expect(() => pipes.reportMaterialization({ assetKey: "one" })).toThrow(/each asset once, got one again/);
    pipes.reportMaterialization({ assetKey: "two" });
    await pipes.close();
  });

  test("for an asset of an op", async () => {
    const { pipes } = await open({ ...CONTEXT, asset_keys: null });
    expect(() => pipes.reportMaterialization({ assetKey: "one" })).toThrow(/this one is an op/);
    await pipes.close();
  });
});

describe("values", () => {
  test.each([
    ["no base64", "§§§"],
    ["no zlib stream", Buffer.from("{}").toString("base64")],
    ["another place", encoded({ url: "https://example.com" })],
  ])("that are %s are told", async (_, text) => {
    const env = { DAGSTER_PIPES_CONTEXT: text, DAGSTER_PIPES_MESSAGES: encoded({ stdio: "stdout" }) };
    await expect(openPipes({ env })).rejects.toMatchObject({
      code: "pipes_invalid",
      message: expect.stringContaining("DAGSTER_PIPES_CONTEXT"),
    });
  });

  test("that unpack to more than 16 MiB are refused", async () => {
    const env = {
      DAGSTER_PIPES_CONTEXT: encoded("x".repeat(20_000_000)),
      DAGSTER_PIPES_MESSAGES: encoded({ stdio: "stdout" }),
    };
    await expect(openPipes({ env })).rejects.toMatchObject({ code: "pipes_invalid" });
  });
});

describe("a task whose labels name", () => {
  const labels = (messages: object, context: object = { data: CONTEXT }) => ({
    "dagster/pipes_context": encoded(context),
    "dagster/pipes_messages": encoded(messages),
  });

  test("a file of the folder that it allows is sent there", async () => {
    const path = join(folder, "of-labels");
    await withPipes({ labels: labels({ path }), allow: { folder } }, async (pipes) => pipes.log.info("here"));
    expect(await readFile(path, "utf8")).toContain('"here"');
  });

  test("a file elsewhere is refused, also by way of a link", async () => {
    const outside = await mkdtemp(join(tmpdir(), "pipes-outside-"));
    await writeFile(join(outside, "secret"), "s");
    await symlink(outside, join(folder, "way-out"));
    await symlink(join(outside, "secret"), join(folder, "link"));
    for (const path of [
      join(outside, "secret"),
      join(folder, "way-out", "secret"),
      join(folder, "link"),
      join(folder, "..", "x"),
      folder,
    ]) {
      await expect(openPipes({ labels: labels({ path }), allow: { folder } })).rejects.toThrow(/expected one in/);
    }
    await expect(openPipes({ labels: labels({ path: join(folder, "f") }) })).rejects.toThrow(
      /expected one in no folder/,
    );
    await rm(outside, { recursive: true });
  });

  test("another bucket is refused before anything is read", async () => {
    const objects: PipesObjects = { read: () => expect.fail("read"), write: () => expect.fail("written") };
    const given = labels({ bucket: "mine", key_prefix: "p" }, { bucket: "theirs", key: "secrets" });
    await expect(openPipes({ labels: given, allow: { bucket: "mine" }, objects })).rejects.toThrow(
      /name the bucket theirs: expected mine/,
    );
  });

  test("a standard stream is refused: it is the worker's", async () => {
    await expect(openPipes({ labels: labels({ stdio: "stdout" }), allow: { folder } })).rejects.toThrow(
      /shares with its worker/,
    );
  });
});

describe("messages by S3", () => {
  const env = {
    DAGSTER_PIPES_CONTEXT: encoded({ data: CONTEXT }),
    DAGSTER_PIPES_MESSAGES: encoded({ bucket: "b", key_prefix: "p" }),
  };

  test("are numbered from 1 without a gap, one object an interval, and none is empty", async () => {
    const clock = createManualClock();
    const written: [string, string][] = [];
    const objects: PipesObjects = {
      read: () => expect.fail("read"),
      write: async (_bucket, key, text) => void written.push([key, text]),
    };
    const pipes = await openPipes({ env, objects, clock, intervalMs: 10_000 });
    for (let at = 0; at < 20; at++) pipes.log.info(`line ${at}`);
    await clock.advance(10_000);
    await until(() => written.length === 1);
    await clock.advance(10_000);
    pipes.log.info("more");
    await clock.advance(10_000);
    await until(() => written.length === 2);
    await pipes.close();
    expect(written.map(([key]) => key)).toEqual(["p/1.json", "p/2.json", "p/3.json"]);
    expect(written.map(([, text]) => text.split("\n").length)).toEqual([21, 1, 1]);
    expect(written.some(([, text]) => text.endsWith("\n"))).toBe(false);
  });

  test("that cannot be written fail the session, and nothing is written behind the gap", async () => {
    let tries = 0;
    const objects: PipesObjects = {
      read: () => expect.fail("read"),
      async write() {
        tries++;
        throw new Error("AccessDenied");
      },
    };
    const clock = createManualClock();
    const pipes = await openPipes({ env, objects, clock, intervalMs: 10_000 });
    await clock.advance(10_000);
    await until(() => tries === 1);
    pipes.log.info("after");
    await expect(pipes.close()).rejects.toThrow("AccessDenied");
    expect(tries).toBe(1);
  });
});
