/** Shares of a whole as one bar. What it means is told in words as well. */
import "./meter.css";
import type { Tone } from "./state-badge.tsx";

export type MeterPart = { readonly tone: Tone; readonly value: number; readonly label: string };

export type MeterProps = {
  readonly parts: readonly MeterPart[];
  /** Default: all parts together. */
  readonly max?: number;
  /** What it shows, with its numbers: `3 of 5 slots in use`. */
  readonly label: string;
};

export function Meter({ parts, max, label }: MeterProps) {
  const whole = Math.max(max ?? parts.reduce((sum, { value }) => sum + value, 0), Number.EPSILON);
  return (
    <span className="meter" role="img" aria-label={label} title={label}>
      {parts.map(
        ({ tone, value, label: part }) =>
          value > 0 && <span key={part} style={{ width: `${(value / whole) * 100}%`, background: `var(--${tone})` }} />,
      )}
    </span>
  );
}

/** How far something that runs has come. @param share 0..1 */
export function Progress({ share, tone = "running" }: { readonly share: number; readonly tone?: Tone }) {
  const percent = Math.round(share * 100);
  return (
    <span className="progress">
      <Meter parts={[{ tone, value: share, label: "done" }]} max={1} label={`${percent} % done`} />
      <span className="progress-text">{percent} %</span>
    </span>
  );
}
