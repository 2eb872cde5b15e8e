/**
 * One line an event; the events are those of log-events.ts.
 * Nothing on the happy path of a task is logged unless asked for: a line per task would cost more than its messages.
 * Writing is synchronous, so the last line before a crash is not lost, and never throws: a log must not fail a task.
 */
import { destination, type Logger, pino, stdTimeFunctions } from "pino";
import pinoPretty from "pino-pretty";
import type { EventName } from "./log-events.ts";
import { loggable } from "./redact.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ["json", "pretty"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export type Log = {
  /** For people who look for a cause. */
  debug(event: EventName, fields?: object): void;
  /** Something happened that an operator wants to know afterwards. */
  info(event: EventName, fields?: object): void;
  /** Something went wrong and is being dealt with; many of these need attention. */
  warn(event: EventName, fields?: object): void;
  /** Something went wrong for good: a task failed, a message is poison, a process cannot start. */
  error(event: EventName, fields?: object): void;
  /** A log whose lines all carry `fields`. */
  child(fields: object): Log;
};

export type LogOptions = {
  readonly level: LogLevel;
  /** `json` for machines; `pretty` is one readable line an event. */
  readonly format: LogFormat;
  /** The role of the process: `api`, `worker`, `executor`. */
  readonly service: string;
  /** The worker's name, where the process is one. */
  readonly worker?: string;
  /** Takes each line, with its line feed. Default: standard output. */
  readonly write?: (line: string) => void;
};

/** Opens the log of a process. Fields may hold anything: secrets are cut out, sizes bounded, cycles and bigints taken. */
export function openLog({ level, format, service, worker, write }: LogOptions): Log {
  const output = write ?? standardOutput();
  const prettify = format === "pretty" ? prettyLine(level === "debug") : undefined;
  const logger = pino(
    {
      level,
      base: worker === undefined ? { service } : { service, worker },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => output(prettify === undefined ? line : prettify(line)) },
  );
  return wrap(logger);
}

function wrap(logger: Logger): Log {
  const write = (level: Exclude<LogLevel, "silent">, event: EventName, fields: object = {}): void => {
    if (!logger.isLevelEnabled(level)) return;
    try {
      logger[level]({ event, ...ownFields(fields) });
    } catch {
      // The output is gone. Nothing here may fail because of it, and there is nowhere left to say so.
    }
  };
  return {
    debug: (event, fields) => write("debug", event, fields),
    info: (event, fields) => write("info", event, fields),
    warn: (event, fields) => write("warn", event, fields),
    error: (event, fields) => write("error", event, fields),
    child: (fields) => wrap(logger.child(ownFields(fields))),
  };
}

const RESERVED = ["event", "level", "time"] as const;

/** The fields as they are written. A field named like one of the line's own would make the line ambiguous. */
function ownFields(fields: object): Record<string, unknown> {
  const copy = loggable(fields);
  for (const name of RESERVED) {
    if (!Object.hasOwn(copy, name)) continue;
    copy[`field_${name}`] = copy[name];
    delete copy[name];
  }
  return copy;
}

/** One a process: two writers of the same output could break into each other's lines. */
export function standardOutput(): (line: string) => void {
  const stream = destination({ dest: 1, sync: true });
  // Without a listener a full disk behind standard output would end the process.
  stream.on("error", () => {});
  return (line) => {
    stream.write(line);
  };
}

/** Turns a JSON line into `12:30:01.250 WARN  worker-1 task.retried taskId=… error="Error: no route"`. */
function prettyLine(withStacks: boolean): (line: string) => string {
  return pinoPretty.prettyFactory({
    colorize: process.stdout.isTTY === true,
    messageKey: "event",
    translateTime: "SYS:HH:MM:ss.l",
    hideObject: true,
    messageFormat: (line) => {
      const { level: _level, time: _time, event, service, worker, ...fields } = line;
      const who = typeof worker === "string" ? worker : service;
      const pairs = Object.entries(fields).map(([name, value]) => `${name}=${shortValue(value, withStacks)}`);
      return [who, event, ...pairs].join(" ");
    },
  });
}

function shortValue(value: unknown, withStacks: boolean): string {
  if (isErrorDescription(value)) {
    const { type, message, code, stack } = value;
    const reference = code === undefined ? "" : ` (${code})`;
    return quoted(`${type}: ${message}${reference}${withStacks ? `\n${stack}` : ""}`);
  }
  return typeof value === "string" && /^[\w.:/@+-]+$/.test(value) ? value : quoted(value);
}

/** As JSON, which shows where a value ends, and without what could move the cursor of the reader's terminal. */
function quoted(value: unknown): string {
  const json = JSON.stringify(value) ?? "";
  return json.replace(/[\u007f-\u009f\u2028\u2029]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

type Described = { type: string; message: string; code?: unknown; stack?: unknown };

function isErrorDescription(value: unknown): value is Described {
  if (typeof value !== "object" || value === null) return false;
  return "type" in value && typeof value.type === "string" && "message" in value && typeof value.message === "string";
}
