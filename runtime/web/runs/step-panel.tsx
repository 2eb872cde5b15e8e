/** A step, or an element of a mapped one: how it went, what it took and gave, and the way to its task and to its neighbours. */
import ArrowRight from "lucide-react/icons/arrow-right";
import { useMemo } from "react";
import type { Run } from "../../client/index.ts";
import { ButtonLink } from "../components/button.tsx";
import { Facts } from "../components/card.tsx";
import { Progress } from "../components/meter.tsx";
import { StateBadge, StateIcon } from "../components/state-badge.tsx";
import { Duration, Elapsed, Time } from "../components/time.tsx";
import { isKeptStep } from "./gantt-model.ts";
import { elementAt, type LiveRun, shownState } from "./live-run.ts";
import { BLOCKED_STEP } from "./live-step.ts";
import { elementSummary } from "./node-summary.ts";
import { CountsMeter, countsText } from "./run-counts.tsx";
import type { Selection } from "./selection.ts";
import { StepList } from "./step-list.tsx";
import { StepAttempts, StepPayloads } from "./step-payloads.tsx";
import { stepTaskId } from "./step-task-id.ts";

export type StepPanelProps = {
  readonly run: Run;
  readonly live: LiveRun;
  readonly createdMs: number;
  readonly selection: Extract<Selection, { readonly kind: "step" }>;
  readonly pickStep: (key: string) => void;
};

export function StepPanel({ run, live, createdMs, selection, pickStep }: StepPanelProps) {
  const { place, index, key } = selection;
  const definition = live.shape.steps[place];
  const elements = live.elements.get(place);
  const own = index === null ? live.steps[place] : elements && elementAt(elements, index);
  const step = own ?? BLOCKED_STEP;
  const state = index === null ? shownState(live, place) : step.state;
  const isKept = isKeptStep(step, createdMs);
  const taskId = run.mode === "simple" ? null : stepTaskId(run.runId, key);
  const { startedMs, endedMs, progress, message } = step;
  return (
    <>
      <header className="panel-head">
        <h2>{key}</h2>
        <div className="row wrap">
          <StateBadge state={state} />
          {step.attempt > 1 && <span className="muted">attempt {step.attempt}</span>}
          {taskId !== null && (
            <ButtonLink size="small" icon={ArrowRight} href={`/tasks/${taskId}`}>
              Open the task
            </ButtonLink>
          )}
        </div>
      </header>
      {progress !== null && <Progress share={progress} />}
      {message !== null && <p className="muted">{message}</p>}
      <Facts
        facts={[
          [
            "Task",
            <span key="task" className="mono">
              {definition?.task}
            </span>,
          ],
          definition?.queue === undefined ? undefined : ["Queue", definition.queue],
          index === null
            ? undefined
            : ["Element of", <StepLink key="of" live={live} place={place} pickStep={pickStep} />],
          isKept ? ["Result", "taken over from the run before"] : undefined,
          ["Started", <Time key="started" at={startedMs === null ? null : new Date(startedMs)} />],
          startedMs === null || isKept ? undefined : ["After", <Duration key="after" ms={startedMs - createdMs} />],
          [
            "Took",
            <Elapsed
              key="took"
              from={startedMs === null ? null : new Date(startedMs)}
              to={endedMs === null ? null : new Date(endedMs)}
            />,
          ],
          definition?.when === undefined
            ? undefined
            : ["Only when", <code key="when">{JSON.stringify(definition.when)}</code>],
        ]}
      />
      <StepAttempts step={step} />
      {index === null && <ElementsPart live={live} place={place} pickStep={pickStep} />}
      {taskId !== null && <StepPayloads taskId={taskId} state={state} attempt={step.attempt} />}
      {index === null && <Neighbours live={live} place={place} pickStep={pickStep} />}
    </>
  );
}

type PartProps = Pick<StepPanelProps, "live" | "pickStep"> & { readonly place: number };

function ElementsPart({ live, place, pickStep }: PartProps) {
  const elements = live.elements.get(place);
  const summary = elementSummary(live, place);
  const key = live.shape.steps[place]?.key ?? "";
  const steps = useMemo(
    () =>
      Array.from({ length: elements?.total ?? 0 }, (_, index) => {
        const step = elements === undefined ? BLOCKED_STEP : elementAt(elements, index);
        return { key: `${key}[${index}]`, state: step.state, step };
      }),
    [elements, key],
  );
  if (summary === null) return null;
  if (summary.total === 0) return <p className="muted">Its list was empty: it has no elements.</p>;
  return (
    <section className="panel-part">
      <h3>Elements</h3>
      <CountsMeter counts={summary.counts} total={summary.total} />
      <p className="muted">{countsText(summary.counts, summary.total, "elements")}</p>
      <StepList label={`Elements of ${key}`} steps={steps} onPick={pickStep} />
    </section>
  );
}

/** More are in the graph. */
const MOST_NEIGHBOURS = 40;

function Neighbours({ live, place, pickStep }: PartProps) {
  const parents = (live.shape.parents[place] ?? []).map((parent) => parent.place);
  const children = live.shape.children[place] ?? [];
  return (
    <>
      <Links title="Comes after" places={parents} live={live} pickStep={pickStep} />
      <Links title="Comes before" places={children} live={live} pickStep={pickStep} />
    </>
  );
}

type LinksProps = Omit<PartProps, "place"> & { readonly title: string; readonly places: readonly number[] };

function Links({ title, places, live, pickStep }: LinksProps) {
  if (places.length === 0) return null;
  return (
    <section className="panel-part">
      <h3>{title}</h3>
      <div className="panel-links">
        {places.slice(0, MOST_NEIGHBOURS).map((place) => (
          <StepLink key={place} live={live} place={place} pickStep={pickStep} />
        ))}
        {places.length > MOST_NEIGHBOURS && <span className="faint">and {places.length - MOST_NEIGHBOURS} more</span>}
      </div>
    </section>
  );
}

function StepLink({ live, place, pickStep }: PartProps) {
  const key = live.shape.steps[place]?.key ?? "";
  const state = shownState(live, place);
  return (
    <button type="button" className="panel-link" onClick={() => pickStep(key)}>
      <StateIcon state={state} />
      <span className="unseen">{state}</span>
      {key}
    </button>
  );
}
