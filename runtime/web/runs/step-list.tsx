/** A list of many steps in little room: those of a group, or the elements of a mapped one. Only what can be seen is in the page. */
import "./step-list.css";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";
import { TASK_STATES, type TaskState } from "../../model/task.ts";
import { countText } from "../components/number-text.ts";
import { StateIcon, toneOf } from "../components/state-badge.tsx";
import { Elapsed } from "../components/time.tsx";
import type { LiveStep } from "./live-step.ts";

export type ListedStep = { readonly key: string; readonly state: TaskState; readonly step: LiveStep };

export type StepListProps = {
  readonly label: string;
  readonly steps: readonly ListedStep[];
  readonly onPick: (key: string) => void;
};

const ROW_PX = 30;

export function StepList({ label, steps, onPick }: StepListProps) {
  const [only, setOnly] = useState<TaskState | null>(null);
  const counts = useMemo(() => countStates(steps), [steps]);
  const shown = useMemo(() => (only === null ? steps : steps.filter(({ state }) => state === only)), [steps, only]);
  const scroller = useRef<HTMLUListElement>(null);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  });
  return (
    <div className="step-list">
      <fieldset className="step-list-states">
        <legend className="unseen">Only those that are</legend>
        {TASK_STATES.filter((state) => (counts.get(state) ?? 0) > 0 || state === only).map((state) => (
          <button
            key={state}
            type="button"
            className={only === state ? `filter-state filter-on-${state}` : "filter-state"}
            aria-pressed={only === state}
            onClick={() => setOnly(only === state ? null : state)}
          >
            <StateIcon state={state} size={12} />
            {countText(counts.get(state) ?? 0)} {state}
          </button>
        ))}
      </fieldset>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, which takes the keyboard too */}
      <ul ref={scroller} className="step-list-scroll" tabIndex={0} aria-label={label}>
        <li aria-hidden="true" style={{ height: virtual.getTotalSize() }} />
        {virtual.getVirtualItems().map(({ index, start }) => {
          const one = shown[index];
          if (one === undefined) return null;
          const { startedMs, endedMs } = one.step;
          return (
            <li key={one.key} className="step-list-row" style={{ transform: `translateY(${start}px)` }}>
              <button type="button" onClick={() => onPick(one.key)}>
                <span className={`gantt-state box-state-${toneOf(one.state)}`} title={one.state}>
                  <StateIcon state={one.state} />
                  <span className="unseen">{one.state}</span>
                </span>
                <span className="truncate grow">{one.key}</span>
                <span className="muted">
                  {startedMs !== null && (
                    <Elapsed from={new Date(startedMs)} to={endedMs === null ? null : new Date(endedMs)} />
                  )}
                </span>
              </button>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function countStates(steps: readonly ListedStep[]): ReadonlyMap<TaskState, number> {
  const counts = new Map<TaskState, number>();
  for (const { state } of steps) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}
