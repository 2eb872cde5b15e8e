/** The timeline of a run: when each step ran, and for how long. Only the rows that can be seen are in the page. */
import "./gantt-view.css";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type RefObject, useCallback, useLayoutEffect, useMemo, useRef, useState } from "react";
import { Button } from "../components/button.tsx";
import { useNowMs } from "../components/now.tsx";
import { useParams } from "../route/params.ts";
import { criticalPath } from "./critical-path.ts";
import { ganttOf } from "./gantt-model.ts";
import { GanttRowView } from "./gantt-row.tsx";
import type { LiveRun } from "./live-run.ts";
import type { Selection } from "./selection.ts";
import { ticksOf } from "./time-axis.ts";

export type GanttViewProps = {
  readonly live: LiveRun;
  readonly createdMs: number;
  readonly finishedAt: Date | null;
  readonly selection: Selection | null;
  readonly pickStep: (key: string | null) => void;
};

const ROW_PX = 30;
/** Room for the words of a tick. */
const TICK_PX = 96;
const OVERSCAN = 10;

export function GanttView({ live, createdMs, finishedAt, selection, pickStep }: GanttViewProps) {
  const [params, change] = useParams();
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const order = params.get("order") === "graph" ? "graph" : "start";
  const showPath = params.get("path") === "critical";
  // Of a run that is over nothing moves any more.
  const tickMs = useNowMs();
  const nowMs = finishedAt === null ? tickMs : createdMs;
  const { rows, fromMs, toMs } = useMemo(
    () => ganttOf(live, { createdMs, finishedMs: finishedAt?.getTime() ?? null, nowMs, order, open }),
    [live, createdMs, finishedAt, nowMs, order, open],
  );
  const path = useMemo(() => (showPath ? new Set(criticalPath(live, createdMs)) : null), [showPath, live, createdMs]);
  const toggle = useCallback((place: number) => setOpen((before) => toggled(before, place)), []);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
  });
  const lane = useRef<HTMLSpanElement>(null);
  const lanePx = useWidth(lane);
  const spanMs = toMs - fromMs;
  const selected = selection?.kind === "step" ? selection.key : null;
  return (
    <div className="gantt">
      <div className="gantt-bar">
        <Button
          size="small"
          pressed={order === "start"}
          onClick={() => change({ order: order === "start" ? "graph" : null })}
        >
          In order of start
        </Button>
        <Button size="small" pressed={showPath} onClick={() => change({ path: showPath ? null : "critical" })}>
          Critical path
        </Button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, which takes the keyboard too */}
      <section ref={scroller} className="gantt-scroll" tabIndex={0} aria-label="Timeline of the steps">
        <div className="gantt-axis" aria-hidden="true">
          <span className="gantt-name">Step</span>
          <span ref={lane} className="gantt-lane">
            {ticksOf(spanMs, Math.max(1, Math.floor(lanePx / TICK_PX))).map(({ atMs, text }) => (
              <span key={atMs} className="gantt-tick" style={{ left: `${(atMs / spanMs) * 100}%` }}>
                {text}
              </span>
            ))}
          </span>
        </div>
        <div className="gantt-rows" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map(({ index, start }) => {
            const row = rows[index];
            if (row === undefined) return null;
            return (
              <GanttRowView
                key={row.key}
                row={row}
                topPx={start}
                fromMs={fromMs}
                spanMs={spanMs}
                isSelected={row.key === selected}
                isFaint={path !== null && !path.has(row.place)}
                onPick={pickStep}
                onToggle={toggle}
              />
            );
          })}
        </div>
      </section>
    </div>
  );
}

function useWidth(element: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    if (element.current === null) return;
    const observer = new ResizeObserver(([entry]) => setWidth(entry?.contentRect.width ?? 0));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

function toggled(open: ReadonlySet<number>, place: number): ReadonlySet<number> {
  const next = new Set(open);
  if (!next.delete(place)) next.add(place);
  return next;
}
