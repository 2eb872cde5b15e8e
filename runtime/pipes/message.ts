/**
 * The lines of a session. The reader calls its handlers with the members as keyword arguments: one too many or too few, an unknown method or level, and
 * its thread ends while the step still succeeds, with all later reports lost. So lines are made only here, with exactly these members.
 */
import { invalid } from "./bootstrap.ts";

export const LOG_LEVELS = ["debug", "info", "warning", "error", "critical"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A value whose type Dagster infers, or one with its type: `{ type: "md", value: "**done**" }`. */
export type Metadata = Readonly<Record<string, MetadataValue>>;
export type MetadataValue =
  | string
  | number
  | boolean
  | null
  | readonly unknown[]
  | { readonly type: MetadataType; readonly value: unknown };
export type MetadataType =
  | "text"
  | "url"
  | "path"
  | "notebook"
  | "json"
  | "md"
  | "float"
  | "int"
  | "bool"
  | "dagster_run"
  | "asset"
  | "null"
  | "table"
  | "table_schema"
  | "table_column_lineage"
  | "timestamp";

export type Severity = "WARN" | "ERROR";

type ErrorShape = {
  readonly message: string;
  readonly stack: readonly string[];
  readonly name: string | null;
  readonly cause: ErrorShape | null;
  readonly context: null;
};

const MAX_CAUSES = 10;

/** What the reader makes of each type; another value ends its thread. */
const FITS: Readonly<Record<MetadataType, (value: unknown) => boolean>> = {
  text: isText,
  url: isText,
  path: isText,
  notebook: isText,
  md: isText,
  dagster_run: isText,
  asset: isText,
  json: (value) => typeof value === "object" && value !== null,
  float: isNumber,
  timestamp: isNumber,
  int: (value) => Number.isSafeInteger(value),
  bool: (value) => typeof value === "boolean",
  null: (value) => value === null,
  table: isObject,
  table_schema: isObject,
  table_column_lineage: isObject,
};

export const openedLine = (): string => line("opened", { extras: {} });

/** `failure`: what the work threw; undefined where it did not. */
export const closedLine = (failure?: { readonly error: unknown }): string =>
  line("closed", failure === undefined ? {} : { exception: errorOf(failure.error) });

export const logLine = (level: LogLevel, message: string): string =>
  line("log", { message, level: level.toUpperCase() });

export const customLine = (payload: unknown): string => line("report_custom_message", { payload });

export const streamLine = (stream: "stdout" | "stderr", text: string): string =>
  line("log_external_stream", { stream, text, extras: {} });

export const materializationLine = (
  assetKey: string,
  { dataVersion = null, metadata }: { readonly dataVersion?: string | null; readonly metadata?: Metadata },
): string =>
  line("report_asset_materialization", {
    asset_key: assetKey,
    data_version: dataVersion,
    metadata: metadataOf(metadata),
  });

export const checkLine = (
  assetKey: string,
  given: {
    readonly name: string;
    readonly passed: boolean;
    readonly severity?: Severity;
    readonly metadata?: Metadata;
  },
): string =>
  line("report_asset_check", {
    asset_key: assetKey,
    check_name: given.name,
    passed: given.passed,
    severity: given.severity ?? "ERROR",
    metadata: metadataOf(given.metadata),
  });

function metadataOf(metadata: Metadata | undefined): object | null {
  if (metadata === undefined) return null;
  return Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => {
      if (typeof value !== "object" || value === null || !("type" in value)) {
        return [name, { raw_value: value, type: "__infer__" }];
      }
      // Callers without types may hand over anything.
      if (FITS[value.type]?.(value.value) !== true) {
        throw invalid(
          `metadata ${JSON.stringify(name)}: expected a value of type ${String(value.type)}, got ${String(JSON.stringify(value.value)).slice(0, 100)}.`,
        );
      }
      return [name, { raw_value: value.value, type: value.type }];
    }),
  );
}

function errorOf(error: unknown, depth = 0): ErrorShape {
  if (!(error instanceof Error)) {
    return { message: String(error), stack: [], name: null, cause: null, context: null };
  }
  const frames = (error.stack ?? "").split("\n").filter((text) => /^\s+at /.test(text));
  return {
    message: `${error.name}: ${error.message}\n`,
    stack: frames.map((frame) => `${frame}\n`),
    name: error.name,
    cause: error.cause === undefined || depth >= MAX_CAUSES ? null : errorOf(error.cause, depth + 1),
    context: null,
  };
}

/** Without a line break in it. Throws TaskiqError `pipes_invalid` for what is no JSON. */
function line(method: string, params: object): string {
  let path = method;
  const text = JSON.stringify({ __dagster_pipes_version: "0.1", method, params }, (name, value: unknown) => {
    path = name === "" ? path : name;
    if (value === undefined || typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") {
      throw invalid(
        `${method}: expected JSON at ${JSON.stringify(path)}, got ${typeof value}. Leave it out, or make it a text.`,
      );
    }
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw invalid(
        `${method}: expected a finite number at ${JSON.stringify(path)}, got ${value}. JSON has no such number.`,
      );
    }
    // Half a character would end the reader's thread when it is written on.
    return typeof value === "string" ? value.toWellFormed() : value;
  });
  return text;
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
