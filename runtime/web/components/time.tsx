/** When something was, and how long it took. The exact time is on hover, and for those who ask with the keyboard or a screen reader. */
import { useNowMs } from "./now.tsx";
import { agoText, durationText, exactText, localText } from "./time-text.ts";

/** `12 s ago`. Null: a dash. */
export function Time({ at }: { readonly at: Date | null }) {
  const nowMs = useNowMs();
  if (at === null) return <None />;
  return (
    <time className="nowrap" dateTime={at.toISOString()} title={exactText(at)}>
      {agoText(at.getTime(), nowMs)}
    </time>
  );
}

/** `2026-11-21 14:03:07.123 (12 s ago)`, where there is room. */
export function ExactTime({ at }: { readonly at: Date | null }) {
  const nowMs = useNowMs();
  if (at === null) return <None />;
  return (
    <time dateTime={at.toISOString()} title={exactText(at)}>
      {localText(at)} <span className="faint nowrap">({agoText(at.getTime(), nowMs)})</span>
    </time>
  );
}

/** Of known length. Null: a dash. */
export function Duration({ ms }: { readonly ms: number | null }) {
  if (ms === null) return <None />;
  return (
    <span className="nowrap" title={`${Math.round(ms)} ms`}>
      {durationText(ms)}
    </span>
  );
}

/** From `from` to `to`, or until now, growing. */
export function Elapsed({ from, to }: { readonly from: Date | null; readonly to: Date | null }) {
  const nowMs = useNowMs();
  if (from === null) return <None />;
  return <Duration ms={Math.max(0, (to?.getTime() ?? nowMs) - from.getTime())} />;
}

/** Nothing to show. */
export function None() {
  return (
    <span className="faint">
      <span aria-hidden="true">–</span>
      <span className="unseen">none</span>
    </span>
  );
}
