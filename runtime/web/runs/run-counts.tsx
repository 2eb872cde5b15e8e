/** How far a run is, as one bar, and in words for who cannot see it. */
import "./run-counts.css";
import type { StepCounts } from "../../model/run.ts";
import { Meter, type MeterPart } from "../components/meter.tsx";
import { countText } from "../components/number-text.ts";

/** What is over at the left, what waits at the right. */
const ORDER = ["succeeded", "skipped", "cancelled", "failed", "running", "queued"] as const;

export type CountsMeterProps = {
  readonly counts: Partial<StepCounts>;
  readonly total: number;
};

export function CountsMeter({ counts, total }: CountsMeterProps) {
  const parts = ORDER.map((state): MeterPart => ({ tone: state, value: counts[state] ?? 0, label: state }));
  return <Meter parts={parts} max={total} label={countsText(counts, total)} />;
}

/** `12 of 30 steps succeeded, 1 failed`. */
export function countsText(counts: Partial<StepCounts>, total: number, noun = "steps"): string {
  const others = ORDER.slice(1)
    .filter((state) => (counts[state] ?? 0) > 0)
    .map((state) => `, ${countText(counts[state] ?? 0)} ${state}`);
  return `${countText(counts.succeeded ?? 0)} of ${countText(total)} ${noun} succeeded${others.join("")}`;
}

/** The bar with how many are over. */
export function CountsProgress({ counts, total }: CountsMeterProps) {
  const { succeeded = 0, failed = 0, cancelled = 0, skipped = 0 } = counts;
  return (
    <span className="counts-progress">
      <CountsMeter counts={counts} total={total} />
      <span className="counts-text">
        {countText(succeeded + failed + cancelled + skipped)}/{countText(total)}
      </span>
    </span>
  );
}
