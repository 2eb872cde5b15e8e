/** The spans of a task's life on one axis of time. */
import "./task-timeline.css";
import { Link } from "wouter";
import type { Task } from "../../client/index.ts";
import { useNowMs } from "../components/now.tsx";
import { StateBadge, toneOf } from "../components/state-badge.tsx";
import { Duration, Time } from "../components/time.tsx";
import { placeOf, type Span, spansOf } from "./timeline.ts";

export function TaskTimeline({ task }: { readonly task: Task }) {
  const nowMs = useNowMs();
  const spans = spansOf(task, nowMs);
  return (
    <ol className="timeline">
      {spans.map((span) => (
        <TimelineRow key={span.key} span={span} spans={spans} />
      ))}
    </ol>
  );
}

function TimelineRow({ span, spans }: { readonly span: Span; readonly spans: readonly Span[] }) {
  const { label, state, startMs, endMs, isOpen, worker, error } = span;
  const { left, width } = placeOf(span, spans);
  const isWait = span.attempt === null;
  return (
    <li className="timeline-row">
      <span className="timeline-name">
        {label}
        {!isWait && <StateBadge state={state} />}
      </span>
      <span className="timeline-track" aria-hidden="true">
        <span
          className={isWait ? "timeline-wait" : ""}
          style={{
            left: `${left * 100}%`,
            width: `${width * 100}%`,
            background: isWait ? undefined : `var(--${toneOf(state)})`,
          }}
        />
      </span>
      <span className="timeline-took">
        <Duration ms={endMs - startMs} />
        {isOpen && "…"}
      </span>
      <span className="timeline-more muted">
        <Time at={new Date(startMs)} />
        {worker !== null && (
          <>
            {" on "}
            <Link href={`/workers/${encodeURIComponent(worker)}`}>{worker}</Link>
          </>
        )}
        {error !== null && state !== "succeeded" && (
          <>
            {": "}
            <code>{error.code}</code> {error.message}
          </>
        )}
      </span>
    </li>
  );
}
