/**
 * A Dagster Pipes session: what the process that a Dagster asset started tells Dagster.
 *
 *   open ──► reports, in order ──► closed, with what the work threw
 *                                    └─ lines of standard output and error, where the session asks for them
 *
 * Without the values that Dagster hands over, a session is open to nobody: reports go nowhere, so that the same code runs by itself.
 */
import { readFile, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { type Bootstrap, invalid, type PipesSource, readBootstrap } from "./bootstrap.ts";
import { openChannel, type PipesChannel, type PipesObjects } from "./channel.ts";
import { contextOf, type PipesContext } from "./context.ts";
import {
  checkLine,
  closedLine,
  customLine,
  LOG_LEVELS,
  type LogLevel,
  logLine,
  type Metadata,
  materializationLine,
  openedLine,
  type Severity,
  streamLine,
} from "./message.ts";
import type { PipesS3Options } from "./objects.ts";
import { tapStdio } from "./stdio.ts";

/** Where a task may be sent by its labels. Nothing is allowed that is not said. */
export type PipesPlaces = {
  /** A folder that context and messages may be in: one that Dagster's process shares. */
  readonly folder?: string | undefined;
  /** A bucket that context and messages may be in. */
  readonly bucket?: string | undefined;
};

export type PipesOptions = PipesSource & {
  readonly allow?: PipesPlaces | undefined;
  readonly s3?: PipesS3Options | undefined;
  /** Between two S3 objects of messages. The reader of dagster-aws takes one every 10,000 ms, unless it was made with another interval. Default 10,000. */
  readonly intervalMs?: number | undefined;
  /** In place of S3 itself. */
  readonly objects?: PipesObjects | undefined;
  readonly clock?: Clock | undefined;
};

/** What a handler may do with its session, `ctx.pipes`. */
export type PipesReports = {
  /** Null where Dagster has not started this. */
  readonly context: PipesContext | null;
  readonly log: Readonly<Record<LogLevel, (message: string) => void>>;
  /**
   * Says that an asset was made; once for each.
   * @param report.assetKey default: the one asset of the step
   * @throws TaskiqError `pipes_invalid`: the step has no such asset, or it was reported before, or a value does not fit
   */
  reportMaterialization(report?: {
    readonly assetKey?: string;
    readonly dataVersion?: string | null;
    readonly metadata?: Metadata;
  }): void;
  /** Says how a check of an asset went. Severity is that of a failure; default `ERROR`. Throws as `reportMaterialization`. */
  reportCheck(report: {
    readonly name: string;
    readonly passed: boolean;
    readonly assetKey?: string;
    readonly severity?: Severity;
    readonly metadata?: Metadata;
  }): void;
  /** Any JSON, for `get_custom_messages()`. */
  reportCustomMessage(payload: unknown): void;
};

export type Pipes = PipesReports & {
  /** Ends the session; once. `failure`: what the work threw. Rejects where reports could not be handed over. */
  close(failure?: { readonly error: unknown }): Promise<void>;
};

const INTERVAL_MS = 10_000;

/** Opens a session, closes it when `work` is done, and with its error where it throws; that is thrown on. */
export async function withPipes<T>(options: PipesOptions, work: (pipes: Pipes) => Promise<T>): Promise<T> {
  const pipes = await openPipes(options);
  let result: T;
  try {
    result = await work(pipes);
  } catch (error) {
    // What the work threw says more than a session that cannot be closed.
    await pipes.close({ error }).catch(() => {});
    throw error;
  }
  await pipes.close();
  return result;
}

/** Throws TaskiqError `pipes_invalid` for values that cannot be read or places that are not allowed; otherwise what reading the context throws. */
export async function openPipes(options: PipesOptions): Promise<Pipes> {
  const bootstrap = readBootstrap(options);
  if (bootstrap === null) return sessionWithNobody();
  if (bootstrap.isForeign) await requireAllowed(bootstrap, options.allow ?? {});
  let opened: Promise<PipesObjects> | undefined;
  const objects = () => {
    // Loaded only here: most sessions have no need of the SDK.
    opened ??=
      options.objects === undefined
        ? import("./objects.ts").then(({ openPipesObjects }) => openPipesObjects(options.s3 ?? {}))
        : Promise.resolve(options.objects);
    return opened;
  };
  const context = contextOf(await dataOf(bootstrap, objects));
  const channel = await openChannel(bootstrap.messages, {
    objects,
    stream: (name) => process[name],
    clock: options.clock ?? systemClock,
    intervalMs: options.intervalMs ?? INTERVAL_MS,
  });
  // In a task among others the streams are the worker's.
  const wantsStdio = "include_stdio_in_messages" in bootstrap.messages && bootstrap.messages.include_stdio_in_messages;
  const tap = wantsStdio === true && !bootstrap.isForeign ? tapStdio(process) : null;
  channel.write(openedLine());
  return sessionOf(context, channel, () => {
    const written = tap?.end() ?? { stdout: "", stderr: "" };
    return (["stdout", "stderr"] as const).flatMap((name) =>
      written[name] === "" ? [] : [streamLine(name, written[name])],
    );
  });
}

function sessionWithNobody(): Pipes {
  return sessionOf(null, { write() {}, close: async () => {} }, () => []);
}

/** `ctx.pipes` of a task that no session was opened for. It keeps nothing, so all share it. */
export const NO_PIPES: PipesReports = sessionWithNobody();

function sessionOf(context: PipesContext | null, channel: PipesChannel, lastLines: () => string[]): Pipes {
  const made = new Set<string>();
  let isClosed = false;

  function write(line: string): void {
    if (isClosed) throw invalid("expected an open Pipes session, it is closed. Report before its end.");
    channel.write(line);
  }

  function assetKey(given: string | undefined, what: string): string {
    const keys = context?.assetKeys ?? null;
    if (context === null) return given ?? "";
    if (keys === null) throw invalid(`${what}: expected a step that makes assets, this one is an op.`);
    if (given === undefined && keys.length === 1) return String(keys[0]);
    if (given !== undefined && keys.includes(given)) return given;
    throw invalid(`${what}: expected the assetKey to be one of ${keys.join(", ")}, got ${given ?? "none"}.`);
  }

  const log = Object.fromEntries(
    LOG_LEVELS.map((level) => [level, (message: string) => write(logLine(level, message))]),
  );
  return {
    context,
    // The keys are those of the list.
    log: log as Pipes["log"],
    reportMaterialization(report = {}) {
      const key = assetKey(report.assetKey, "reportMaterialization");
      if (context !== null && made.has(key))
        throw invalid(`reportMaterialization: expected each asset once, got ${key} again.`);
      write(materializationLine(key, report));
      if (context !== null) made.add(key);
    },
    reportCheck: (report) => write(checkLine(assetKey(report.assetKey, "reportCheck"), report)),
    reportCustomMessage: (payload) => write(customLine(payload)),
    async close(failure) {
      if (isClosed) return;
      write(closedLine(failure));
      isClosed = true;
      // Dagster's own library sends them after `closed`, and its reader expects that.
      for (const line of lastLines()) channel.write(line);
      await channel.close();
    },
  };
}

async function dataOf({ context }: Bootstrap, objects: () => Promise<PipesObjects>): Promise<unknown> {
  if ("data" in context) return context.data;
  const text =
    "path" in context
      ? await readFile(context.path, "utf8")
      : await (await objects()).read(context.bucket, context.key);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(`the context: expected JSON, got ${JSON.stringify(text.slice(0, 40))}…`, cause);
  }
}

async function requireAllowed({ context, messages }: Bootstrap, allow: PipesPlaces): Promise<void> {
  for (const place of [context, messages]) {
    if ("data" in place) continue;
    if ("path" in place) {
      if (allow.folder !== undefined && (await isInside(place.path, allow.folder))) continue;
      throw invalid(
        `the labels name the file ${place.path}: expected one in ${allow.folder ?? "no folder"}. Say which with allow.folder.`,
      );
    }
    if ("bucket" in place) {
      if (allow.bucket === place.bucket) continue;
      throw invalid(
        `the labels name the bucket ${place.bucket}: expected ${allow.bucket ?? "none"}. Say which with allow.bucket.`,
      );
    }
    throw invalid(
      "the labels ask for messages on a standard stream, which a task shares with its worker. Use a file or S3.",
    );
  }
}

/** By real paths: neither a folder on the way nor the file itself may lead out as a link. A file that is not there yet is made. */
async function isInside(path: string, folder: string): Promise<boolean> {
  try {
    const [outer, parent] = await Promise.all([realpath(folder), realpath(dirname(resolve(path)))]);
    const file = await realpath(path).catch(() => join(parent, basename(path)));
    return file.startsWith(`${outer}${sep}`);
  } catch {
    return false;
  }
}
