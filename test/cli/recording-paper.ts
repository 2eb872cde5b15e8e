/** A paper that keeps what is written to it, without colours. */
import type { Paper } from "../../runtime/cli/screen.ts";

export type RecordingPaper = Paper & { readonly lines: string[]; readonly drawn: string[] };

export function recordingPaper({
  isTerminal,
  columns = 80,
}: {
  isTerminal: boolean;
  columns?: number;
}): RecordingPaper {
  const lines: string[] = [];
  const drawn: string[] = [];
  return {
    isTerminal,
    columns,
    lines,
    drawn,
    style: (_style, text) => text,
    line: (text) => void lines.push(text),
    redraw: (text) => void drawn.push(text),
  };
}
