/**
 * What a task takes, as measured. Figures that bench/README.md publishes are read from its tables, so that nobody has to
 * change them twice; the others are here, each with the command that measures it.
 */
import { readFileSync } from "node:fs";

/** A no-op task at saturation: messages, claims and outcomes go in batches, and payloads fit into the row. */
export type Measured = {
  /** SQS requests, sending included. */
  readonly requests: number;
  /** SQL statements, submitting included. */
  readonly statements: number;
  /** CPU of the worker, in µs. */
  readonly workerMicros: number;
  /** CPU of Postgres, submitting included, in µs. */
  readonly databaseMicros: number;
  /** CPU of the process that submits, in µs; without HTTP. */
  readonly submitMicros: number;
  /** Bytes to and from SQS, in both directions. */
  readonly queueBytes: number;
  /** Bytes to and from Postgres, in both directions. */
  readonly databaseBytes: number;
  /** Bytes of a finished task's row with its indexes, closely packed. */
  readonly storedBytes: number;
};

/**
 * `node bench/traffic.ts`: 60,000 tasks submitted in batches of 500 while one worker takes them, through proxies that
 * count bytes. The emulator's receipt handles have 36 characters, those of SQS about 412, and each travels twice.
 */
const TRAFFIC = {
  queueBytes: 1_116 + 2 * (412 - 36),
  databaseBytes: 718,
  storedBytes: 312,
};

/** `npm run bench`, the submitter's share in the line "CPU a task besides the worker's". */
const SUBMIT_MICROS = 39;

export function readMeasured(): Measured {
  const text = readFileSync(new URL("./README.md", import.meta.url), "utf8");
  return { ...published(text), ...TRAFFIC, submitMicros: SUBMIT_MICROS };
}

/** The figures in the tables of bench/README.md. Throws where a row is missing or has no number. */
export function published(text: string): Pick<Measured, "requests" | "statements" | "workerMicros" | "databaseMicros"> {
  return {
    requests: last(row(text, "SQS requests a task at saturation")),
    statements: last(row(text, "SQL statements a task at saturation")),
    workerMicros: last(row(text, "worker CPU a task")),
    databaseMicros: last(row(text, "Postgres CPU a task")),
  };
}

/** The last cell of the row that starts so. */
function row(text: string, start: string): string {
  const line = text.split("\n").find((one) => one.startsWith(`| ${start}`));
  const cell = line?.split("|").at(-2)?.trim();
  if (cell === undefined)
    throw new Error(`bench/README.md: expected a table row that starts with "${start}", got none.`);
  return cell;
}

/** The last number of a cell: "57 µs; 82 µs" is without and with submitting. */
function last(cell: string): number {
  const number = cell.match(/\d+(?:\.\d+)?/g)?.at(-1);
  if (number === undefined)
    throw new Error(`bench/README.md: expected a number in a table's last cell, got "${cell}".`);
  return Number(number);
}
