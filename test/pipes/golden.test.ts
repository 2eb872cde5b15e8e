/** Every recorded session of the real packages: its values are read, and this package's program writes the same messages. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readBootstrap } from "../../runtime/pipes/bootstrap.ts";
import { contextOf } from "../../runtime/pipes/context.ts";
import { withPipes } from "../../runtime/pipes/index.ts";
import { openPipesObjects } from "../../runtime/pipes/objects.ts";
import golden from "../golden/pipes.json" with { type: "json" };
import { startTestAws, type TestAws } from "../support/aws.ts";
import { encoded } from "./handed-over.ts";
import { reportEverything } from "./report-everything.ts";

type Params = Readonly<Record<string, unknown>>;
type Session = {
  readonly bootstrap_params: { readonly DAGSTER_PIPES_CONTEXT: Params; readonly DAGSTER_PIPES_MESSAGES: Params };
  readonly bootstrap_env?: Readonly<Record<string, string>>;
  readonly context: Params;
  readonly exit_code: number;
  readonly raw_messages: readonly string[];
  readonly s3_objects?: Readonly<Record<string, string>>;
};

// As the recorder writes it; the types that TypeScript infers from each session differ.
const recorded = golden.sessions as unknown as readonly {
  readonly name: string;
  readonly options: readonly string[];
  readonly sessions: readonly Session[];
}[];
const sessions = recorded.flatMap(({ name, options, sessions }) =>
  sessions.map((session, at) => ({ name: sessions.length === 1 ? name : `${name}, ${at + 1}`, options, session })),
);
const PROGRAM = fileURLToPath(new URL("./programs/external.ts", import.meta.url));
const BUCKET = "taskiq-payloads";
const PREFIX = "a-prefix-of-the-test";

let folder: string;
let aws: TestAws;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pipes-"));
  aws = await startTestAws();
});
afterAll(async () => {
  await aws.stop();
  await rm(folder, { recursive: true });
});

const parsed = (lines: readonly string[]): unknown[] => lines.map((line) => JSON.parse(line));

describe.each(sessions)("$name", ({ options, session }) => {
  test("its values are read", () => {
    const { DAGSTER_PIPES_CONTEXT: context, DAGSTER_PIPES_MESSAGES: messages } = session.bootstrap_params;
    // Only some were recorded as text, too.
    const env = session.bootstrap_env ?? {
      DAGSTER_PIPES_CONTEXT: encoded(context),
      DAGSTER_PIPES_MESSAGES: encoded(messages),
    };
    const bootstrap = readBootstrap({ env });
    // Temporary names differ from those that stand in the sample.
    expect(Object.keys(bootstrap?.context ?? {})).toEqual(Object.keys(session.bootstrap_params.DAGSTER_PIPES_CONTEXT));
    expect(Object.keys(bootstrap?.messages ?? {})).toEqual(
      Object.keys(session.bootstrap_params.DAGSTER_PIPES_MESSAGES),
    );
    expect(bootstrap?.isForeign).toBe(false);
  });

  test("its context is read", () => {
    expect(contextOf(session.context)).toMatchObject({
      assetKeys: session.context.asset_keys,
      partitionKey: session.context.partition_key,
      partitionTimeWindow: session.context.partition_time_window,
      runId: session.context.run_id,
      retryNumber: session.context.retry_number,
    });
  });

  test("the same program writes the same messages", async () => {
    const given = await place(session);
    const text = options.find((one) => one.startsWith("PIPES_CHECKS="))?.slice("PIPES_CHECKS=".length) ?? "[]";
    const output = needsProcess(session, options)
      ? await runProgram(given, text, session, options)
      : await runHere(given, JSON.parse(text));
    const lines = (await given.written(output)).filter((line) => line.includes("__dagster_pipes_version"));
    const wanted =
      session.s3_objects === undefined
        ? session.raw_messages
        : Object.values(session.s3_objects).join("\n").split("\n");
    expect(comparable(parsed(lines))).toEqual(comparable(parsed(wanted.filter((line) => line !== ""))));
  });
});

/** Where its streams, its command line or its exit code count; the others need no process, which costs a second. */
function needsProcess(session: Session, options: readonly string[]): boolean {
  const { DAGSTER_PIPES_MESSAGES: messages } = session.bootstrap_params;
  const usesStreams =
    "stdio" in messages || "buffered_stdio" in messages || messages.include_stdio_in_messages === true;
  return usesStreams || session.exit_code !== 0 || options.includes("cli");
}

type Given = { readonly context: string; readonly messages: string };

async function runHere({ context, messages }: Given, checks: readonly string[]): Promise<Output> {
  const env = { DAGSTER_PIPES_CONTEXT: context, DAGSTER_PIPES_MESSAGES: messages };
  const s3 = { region: aws.region, endpoint: aws.endpoint, credentials: aws.credentials };
  await withPipes({ env, s3 }, async (pipes) => reportEverything(pipes, checks));
  return { stdout: "", stderr: "" };
}

async function runProgram(
  { context, messages }: Given,
  checks: string,
  session: Session,
  options: readonly string[],
): Promise<Output> {
  const isCli = options.includes("cli");
  const args = isCli ? ["--dagster-pipes-context", context, "--dagster-pipes-messages", messages] : [];
  const variables = { DAGSTER_PIPES_CONTEXT: context, DAGSTER_PIPES_MESSAGES: messages };
  const env = {
    ...process.env,
    ...aws.env,
    PIPES_ENDPOINT: aws.endpoint,
    PIPES_CHECKS: checks,
    ...(isCli ? { PIPES_CLI: "1" } : variables),
    ...(options.includes("PIPES_MODE=raise") && { PIPES_MODE: "raise" }),
  };
  const ended = await promisify(execFile)(process.execPath, [PROGRAM, ...args], { env }).catch(
    (error: Output & { readonly code: number }) => error,
  );
  expect("code" in ended ? ended.code : 0).toBe(session.exit_code);
  return ended;
}

type Message = { method: string; params: { exception?: object; stream?: string; text?: string } };

/** Without what Python and JavaScript say differently: the text of errors, and which stream's lines come first. */
function comparable(messages: readonly unknown[]): unknown[] {
  // Written by either side as pipes messages.
  const all = messages as Message[];
  const streams = all.filter(({ method }) => method === "log_external_stream");
  return [
    ...all
      .filter(({ method }) => method !== "log_external_stream")
      .map((message) =>
        message.params.exception === undefined ? message : { ...message, params: shapeOf(message.params) },
      ),
    ...streams.map(({ params }) => params.stream).sort(),
  ];
}

/** Names of members and kinds of values. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return "list";
  if (typeof value !== "object" || value === null) return value === null ? null : typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shapeOf(one)]));
}

type Output = { readonly stdout: string; readonly stderr: string };

/** The session's places on this machine, and how to read what was written there. */
async function place(session: Session) {
  const { DAGSTER_PIPES_CONTEXT: context, DAGSTER_PIPES_MESSAGES: messages } = session.bootstrap_params;
  const objects = openPipesObjects({ region: aws.region, endpoint: aws.endpoint, credentials: aws.credentials });
  const id = `${sessions.findIndex((one) => one.session === session)}`;
  const file = join(folder, `messages-${id}`);
  let contextPlace: unknown = { data: session.context };
  if ("path" in context) {
    contextPlace = { path: join(folder, `context-${id}`) };
    await writeFile(join(folder, `context-${id}`), JSON.stringify(session.context));
  } else if ("bucket" in context) {
    contextPlace = { bucket: BUCKET, key: `${PREFIX}-${id}/context.json` };
    await objects.write(BUCKET, `${PREFIX}-${id}/context.json`, JSON.stringify(session.context));
  }
  let messagesPlace: unknown = messages;
  let written = async ({ stdout, stderr }: Output): Promise<string> =>
    Object.values(messages).includes("stdout") ? stdout : stderr;
  if ("path" in messages) {
    messagesPlace = { ...messages, path: file };
    await writeFile(file, "");
    written = async () => await readFile(file, "utf8");
  } else if ("bucket" in messages) {
    messagesPlace = { ...messages, bucket: BUCKET, key_prefix: `${PREFIX}-${id}` };
    written = async () => await objects.read(BUCKET, `${PREFIX}-${id}/1.json`);
  }
  return {
    context: encoded(contextPlace),
    messages: encoded(messagesPlace),
    written: async (output: Output) => (await written(output)).split("\n"),
  };
}
