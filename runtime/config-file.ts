/**
 * A YAML file that holds settings by the names of their variables, for whoever would rather keep one file than fifty variables:
 *
 *     TASKIQ_S3_BUCKET: taskiq-payloads
 *     TASKIQ_WORKER_SLOTS: 20
 *     TASKIQ_QUEUES:
 *       - { name: default, url: "https://…", deadLetterUrl: "https://…" }
 *
 * Values come out as the text that the variable would have, so that both are read by one table. Lists of words are joined by commas; whatever else
 * has parts becomes JSON.
 */
import { readFileSync } from "node:fs";
import { isMap, isScalar, LineCounter, type Pair, parseDocument } from "yaml";
import type { Source } from "./config-problems.ts";
import { TaskiqError } from "./errors.ts";
import { redactText } from "./redact.ts";

export type ConfigFile = {
  readonly path: string;
  readonly values: Source;
  /** In which line each name stands, from 1. */
  readonly lines: Readonly<Record<string, number>>;
};

export const NO_FILE: ConfigFile = { path: "", values: {}, lines: {} };

/** Throws TaskiqError `config_invalid` for a file that cannot be read or is no mapping of names to values. */
export function readConfigFile(path: string): ConfigFile {
  const counter = new LineCounter();
  const document = parseDocument(textOf(path), { lineCounter: counter, prettyErrors: false, stringKeys: true });
  const [error] = document.errors;
  if (error !== undefined) {
    throw invalid(path, `line ${counter.linePos(error.pos[0]).line}: ${redactText(error.message)}`);
  }
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return { ...NO_FILE, path };
  if (!isMap(contents)) throw invalid(path, "a file without names");
  // Of a mapping with text keys only, this is an object.
  const settings = document.toJS() as Readonly<Record<string, unknown>>;
  const values: Record<string, string | undefined> = {};
  const lines: Record<string, number> = {};
  for (const pair of contents.items) {
    const name = nameOf(pair);
    lines[name] = counter.linePos(startOf(pair)).line;
    values[name] = settingOf(settings[name]);
  }
  return { path, values, lines };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw invalid(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function nameOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : String(key);
}

function startOf({ key }: Pair): number {
  return isScalar(key) ? (key.range?.[0] ?? 0) : 0;
}

/** The value as the text of its variable; undefined: nothing is set. */
function settingOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value !== "object") return String(value);
  const isWords = Array.isArray(value) && value.every((entry) => typeof entry !== "object");
  return isWords ? value.join(",") : JSON.stringify(value);
}

function invalid(path: string, got: string, cause?: unknown): TaskiqError {
  const problem = `TASKIQ_CONFIG: expected a YAML file of settings by their names, got ${path}: ${got}. Correct the file or its path.`;
  return new TaskiqError("config_invalid", problem, { details: [problem], cause });
}
