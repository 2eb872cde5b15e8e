/**
 * Where a command writes. What it was asked for goes to standard output, so that it can be piped; everything that only
 * accompanies it goes to standard error. Colours only where a terminal reads them and `NO_COLOR` is not set.
 */
import type { WriteStream } from "node:tty";
import { styleText } from "node:util";

export type Style = Parameters<typeof styleText>[0];

export type Screen = {
  /** Standard output. */
  readonly out: Paper;
  /** Standard error. */
  readonly notes: Paper;
};

export type Paper = {
  /** Whether a terminal shows it, so that a line can be drawn again. */
  readonly isTerminal: boolean;
  /** Of the terminal; 80 where there is none. */
  readonly columns: number;
  /** Lines of the terminal; 24 where there is none. */
  readonly rows: number;
  style(style: Style, text: string): string;
  /** Writes a line. */
  line(text: string): void;
  /** Writes over the line the cursor is in. Only on a terminal. */
  redraw(text: string): void;
  /** Writes lines over the `over` lines that were written last, and leaves the cursor below them. Only on a terminal. */
  redrawLines(lines: readonly string[], over: number): void;
};

const COLUMNS = 80;
const ROWS = 24;
const CLEAR_TO_END = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

export function openScreen(stdout: WriteStream, stderr: WriteStream): Screen {
  return { out: paperOf(stdout), notes: paperOf(stderr) };
}

function paperOf(stream: WriteStream): Paper {
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns ?? COLUMNS;
    },
    get rows() {
      return stream.rows ?? ROWS;
    },
    style: (style, text) => styleText(style, text, { stream }),
    line: (text) => void stream.write(`${text}\n`),
    redraw: (text) => void stream.write(`\r${text}${CLEAR_TO_END}`),
    redrawLines(lines, over) {
      const up = over === 0 ? "\r" : `\r\u001b[${over}A`;
      // In one piece: a terminal that shows half of it flickers.
      stream.write(`${up}${lines.map((line) => `${line}${CLEAR_TO_END}\n`).join("")}${CLEAR_BELOW}`);
    },
  };
}
