/** Times and durations in words that fit a column. Pure. */

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** `340 ms`, `4.2 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`. */
export function durationText(ms: number): string {
  const length = Math.max(0, ms);
  if (length < 999.5) return `${Math.round(length)} ms`;
  if (length < 9_950) return `${(length / SECOND_MS).toFixed(1)} s`;
  if (length < MINUTE_MS - 500) return `${Math.round(length / SECOND_MS)} s`;
  const seconds = Math.round(length / SECOND_MS);
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), "m", seconds % 60, "s");
  const minutes = Math.round(length / MINUTE_MS);
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "m");
  const hours = Math.round(length / HOUR_MS);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** `now`, `12 s ago`, `in 5 m`, `3 h ago`, `4 d ago`. */
export function agoText(atMs: number, nowMs: number): string {
  const distance = Math.abs(nowMs - atMs);
  // Clocks of two machines differ by so much.
  if (distance < 2 * SECOND_MS) return "now";
  const text = coarse(distance);
  return atMs > nowMs ? `in ${text}` : `${text} ago`;
}

/** `2026-11-21 14:03:07.123`, in the zone of whoever looks. */
export function localText(at: Date): string {
  return exactText(at).replace(/ [+-]\d\d:\d\d$/, "");
}

/** `2026-11-21 14:03:07`, where milliseconds do not matter. */
export function momentText(at: Date): string {
  return localText(at).slice(0, -4);
}

/** With the zone, for whoever wants to know exactly: `2026-11-21 14:03:07.123 +01:00`. */
export function exactText(at: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const offset = -at.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day} ${time}.${String(at.getMilliseconds()).padStart(3, "0")} ${zone}`;
}

function coarse(ms: number): string {
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} m`;
  if (ms < 2 * DAY_MS) return `${Math.floor(ms / HOUR_MS)} h`;
  return `${Math.floor(ms / DAY_MS)} d`;
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}
