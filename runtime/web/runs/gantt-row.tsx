/** One row of the timeline. */
import ChevronDown from "lucide-react/icons/chevron-down";
import ChevronRight from "lucide-react/icons/chevron-right";
import { countText } from "../components/number-text.ts";
import { StateIcon, toneOf } from "../components/state-badge.tsx";
import { durationText } from "../components/time-text.ts";
import type { GanttBar, GanttRow } from "./gantt-model.ts";

export type GanttRowViewProps = {
  readonly row: GanttRow;
  readonly topPx: number;
  /** Of the axis. */
  readonly fromMs: number;
  readonly spanMs: number;
  readonly isSelected: boolean;
  readonly isFaint: boolean;
  readonly onPick: (key: string) => void;
  /** Shows the elements of a mapped step, or hides them. */
  readonly onToggle: (place: number) => void;
};

export function GanttRowView(props: GanttRowViewProps) {
  const { row, topPx, fromMs, spanMs, isSelected, isFaint, onPick, onToggle } = props;
  const { key, index, state, elements, isOpen, isKept, bars } = row;
  const Chevron = isOpen ? ChevronDown : ChevronRight;
  const lastBar = bars.at(-1);
  return (
    <div
      className={`gantt-row ${isSelected ? "gantt-selected" : ""} ${isFaint ? "gantt-faint" : ""}`}
      style={{ transform: `translateY(${topPx}px)` }}
    >
      <span className={`gantt-name ${index === null ? "" : "gantt-inner"}`}>
        {elements !== null && elements > 0 ? (
          <button
            type="button"
            className="gantt-chevron"
            aria-expanded={isOpen}
            aria-label={`Elements of ${key}`}
            onClick={() => onToggle(row.place)}
          >
            <Chevron size={14} aria-hidden="true" />
          </button>
        ) : (
          <span className="gantt-chevron" />
        )}
        <button type="button" className="gantt-step" onClick={() => onPick(key)}>
          <span className={`gantt-state box-state-${toneOf(state)}`}>
            <StateIcon state={state} />
          </span>
          <span className="truncate">{key}</span>
          {elements !== null && <span className="faint">×{countText(elements)}</span>}
          <span className="unseen">{unseenOf(row, fromMs)}</span>
        </button>
      </span>
      <span className="gantt-lane" aria-hidden="true">
        {bars.map((bar) => (
          <Bar key={bar.attempt} bar={bar} fromMs={fromMs} spanMs={spanMs} />
        ))}
        {lastBar !== undefined && (
          <span className="gantt-took" style={{ left: `${((lastBar.toMs - fromMs) / spanMs) * 100}%` }}>
            {durationText(lastBar.toMs - lastBar.fromMs)}
          </span>
        )}
        {isKept && <span className="gantt-kept">taken over</span>}
      </span>
    </div>
  );
}

function Bar({ bar, fromMs, spanMs }: { readonly bar: GanttBar; readonly fromMs: number; readonly spanMs: number }) {
  const left = ((bar.fromMs - fromMs) / spanMs) * 100;
  const width = ((bar.toMs - bar.fromMs) / spanMs) * 100;
  const took = durationText(bar.toMs - bar.fromMs);
  return (
    <span
      className={`gantt-attempt ${bar.state === "running" ? "gantt-running" : ""}`}
      style={{ left: `${left}%`, width: `${width}%`, backgroundColor: `var(--${toneOf(bar.state)})` }}
      title={`Attempt ${bar.attempt} ${bar.state}: from +${durationText(bar.fromMs - fromMs)}, ${took}`}
    />
  );
}

/** What the lane shows, for who does not see it. */
function unseenOf({ state, bars, isKept }: GanttRow, fromMs: number): string {
  const bar = bars.at(-1);
  if (isKept) return `${state}, taken over from the run before`;
  if (bar === undefined) return state;
  return `${state}, started after ${durationText(bar.fromMs - fromMs)}, took ${durationText(bar.toMs - bar.fromMs)}`;
}
