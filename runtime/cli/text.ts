/** Text for a terminal: how wide it is, how it is cut, and how times are told. */
import { stripVTControlCharacters } from "node:util";

/** Emoji, and the East Asian letters that take two columns. */
const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;
const NO_WIDTH = /^[\p{Mark}\p{Format}]+$/u;
const CONTROL = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu;
const MAX_SEGMENT_CHARACTERS = 16;
const SEGMENTS = new Intl.Segmenter("en", { granularity: "grapheme" });

/** On one line and without what would move the cursor or turn the reading direction: text of handlers is anybody's text. */
export function oneLine(text: string): string {
  return stripVTControlCharacters(text).replace(CONTROL, " ").trim();
}

/** Columns that a line without colours takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const { segment } of SEGMENTS.segment(text)) width += widthOfSegment(segment);
  return width;
}

/** At most so many columns, with an ellipsis where something was cut off. */
export function fitted(text: string, columns: number): string {
  if (!Number.isFinite(columns)) return text;
  // A segment seldom has more than a few characters, and counting columns takes long.
  const start = text.slice(0, columns * MAX_SEGMENT_CHARACTERS);
  if (start.length === text.length && widthOf(text) <= columns) return text;
  let width = 1;
  let end = 0;
  for (const { segment, index } of SEGMENTS.segment(start)) {
    width += widthOfSegment(segment);
    if (width > columns) break;
    end = index + segment.length;
  }
  return `${text.slice(0, end).trimEnd()}…`;
}

/** Lines of at most so many columns, broken at blanks, and inside of words that are longer than a line. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((one) => pieces(one, columns))) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line === "" || widthOf(longer) <= columns) {
      line = longer;
    } else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

/** `12 ms`, `3.2 s`, `2 min 5 s`, `3 h 12 min`, `2 d 3 h`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(ms / 60_000);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(ms / 3_600_000);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function pieces(word: string, columns: number): string[] {
  if (widthOf(word) <= columns) return [word];
  const cut: string[] = [];
  let piece = "";
  for (const { segment } of SEGMENTS.segment(word)) {
    if (widthOf(piece) + widthOfSegment(segment) > columns) {
      cut.push(piece);
      piece = "";
    }
    piece += segment;
  }
  return [...cut, piece];
}

function widthOfSegment(segment: string): number {
  if (NO_WIDTH.test(segment)) return 0;
  return WIDE.test(segment) ? 2 : 1;
}
