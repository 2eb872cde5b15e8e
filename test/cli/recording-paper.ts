/** A paper that keeps what is written to it, without colours. */
import type { Paper } from "../../runtime/cli/screen.ts";

export type RecordingPaper = Paper & {
  readonly lines: string[];
  readonly drawn: string[];
  /** What stands on the screen after each drawing of several lines. */
  readonly blocks: (readonly string[])[];
};

export function recordingPaper({
  isTerminal,
  columns = 80,
  rows = 24,
}: {
  isTerminal: boolean;
  columns?: number;
  rows?: number;
}): RecordingPaper {
  const lines: string[] = [];
  const drawn: string[] = [];
  const blocks: (readonly string[])[] = [];
  return {
    isTerminal,
    columns,
    rows,
    lines,
    drawn,
    blocks,
    style: (_style, text) => text,
    line: (text) => void lines.push(text),
    redraw: (text) => void drawn.push(text),
    redrawLines: (block) => void blocks.push(block),
  };
}
