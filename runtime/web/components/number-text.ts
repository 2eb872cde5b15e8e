/** Numbers in words that fit a column. Pure. */

const WHOLE = new Intl.NumberFormat("en-US");
const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
/** What the API counts to. */
const COUNTED_TO = 10_000;

/** `12,345`. */
export function countText(count: number): string {
  return WHOLE.format(count);
}

/** `12.3K`, for axes and badges. */
export function shortCountText(count: number): string {
  return count < 1_000 ? WHOLE.format(count) : SHORT.format(count);
}

/** `10,000+` for what is not counted any further. */
export function cappedText(count: number): string {
  return count >= COUNTED_TO ? `${WHOLE.format(COUNTED_TO)}+` : WHOLE.format(count);
}

/** `0.4/s`, `12/s`; a rate that is not nothing never reads as nothing. */
export function rateText(perSecond: number): string {
  if (perSecond === 0) return "0/s";
  if (perSecond < 0.05) return "<0.1/s";
  return perSecond < 9.95 ? `${perSecond.toFixed(1)}/s` : `${WHOLE.format(Math.round(perSecond))}/s`;
}

/** `42 %`. Not everything is never 100, something is never 0. */
export function percentText(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 1) return "<1 %";
  if (percent < 100 && percent > 99) return "99 %";
  return `${Math.round(percent)} %`;
}

/** `1 task`, `2,000 tasks`. */
export function countedNoun(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}
