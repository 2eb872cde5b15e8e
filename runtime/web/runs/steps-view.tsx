/** The steps of a run as a table: found by name or state, sorted by what went wrong or took long. */
import { useMemo } from "react";
import { TASK_STATES } from "../../model/task.ts";
import { FilterBar, SelectFilter, StateFilter, TextFilter } from "../components/filter-bar.tsx";
import { Progress } from "../components/meter.tsx";
import { Empty } from "../components/notice.tsx";
import { countedNoun } from "../components/number-text.ts";
import { StateBadge } from "../components/state-badge.tsx";
import { type Column, Table } from "../components/table.tsx";
import { Duration, Elapsed, None } from "../components/time.tsx";
import { useParams } from "../route/params.ts";
import { isKeptStep } from "./gantt-model.ts";
import { type LiveRun, shownState } from "./live-run.ts";
import { BLOCKED_STEP, type LiveStep } from "./live-step.ts";
import { elementSummary, type NodeSummary } from "./node-summary.ts";
import { CountsProgress } from "./run-counts.tsx";
import type { Selection } from "./selection.ts";
import { type StepSort, stepRows } from "./step-rows.ts";

export type StepsViewProps = {
  readonly live: LiveRun;
  readonly createdMs: number;
  readonly selection: Selection | null;
  readonly pickStep: (key: string | null) => void;
};

type Row = {
  readonly key: string;
  readonly task: string;
  readonly state: LiveStep["state"];
  readonly step: LiveStep;
  readonly elements: Pick<NodeSummary, "counts" | "total"> | null;
  readonly isKept: boolean;
  /** After the run was accepted; null: it has not started. */
  readonly startMs: number | null;
};

const SORTS: readonly (readonly [StepSort | "", string])[] = [
  ["", "In the order of the graph"],
  ["state", "What went wrong first"],
  ["start", "By start"],
  ["duration", "Longest first"],
];

const COLUMNS: readonly Column<Row>[] = [
  { key: "state", title: "State", width: "128px", cell: ({ state }) => <StateBadge state={state} /> },
  {
    key: "step",
    title: "Step",
    cell: ({ key, task }) => (
      <span className="run-name">
        <strong className="truncate">{key}</strong>
        <span className="mono faint hide-small">{task}</span>
      </span>
    ),
  },
  { key: "note", title: "What happens", width: "34%", hide: "small", cell: (row) => <StepNote row={row} /> },
  {
    key: "attempt",
    title: "Attempt",
    width: "76px",
    align: "end",
    hide: "medium",
    cell: ({ step }) => (step.attempt === 0 ? <None /> : step.attempt),
  },
  {
    key: "start",
    title: "Start",
    width: "86px",
    align: "end",
    hide: "medium",
    cell: ({ startMs }) => <Duration ms={startMs} />,
  },
  {
    key: "took",
    title: "Took",
    width: "86px",
    align: "end",
    cell: ({ step: { startedMs, endedMs } }) => (
      <Elapsed
        from={startedMs === null ? null : new Date(startedMs)}
        to={endedMs === null ? null : new Date(endedMs)}
      />
    ),
  },
];

export function StepsView({ live, createdMs, selection, pickStep }: StepsViewProps) {
  const [params] = useParams();
  const text = params.get("find") ?? "";
  const wanted = params.get("sort");
  const names = SORTS.map(([name]) => name);
  const sort = names.find((name): name is StepSort => name !== "" && name === wanted) ?? "graph";
  const chosen = params.getAll("state").join();
  const rows = useMemo(() => {
    const states = TASK_STATES.filter((state) => chosen.split(",").includes(state));
    return stepRows(live, { text, states, sort, among: null }).map((place) => rowOf(live, place, createdMs));
  }, [live, text, chosen, sort, createdMs]);
  return (
    <>
      <div className="steps-bar">
        <FilterBar params={["find", "state", "sort"]} aside={countedNoun(rows.length, "step")}>
          <TextFilter param="find" label="Part of the name of a step or task" placeholder="Step or task" />
          <StateFilter states={TASK_STATES} />
          <SelectFilter param="sort" label="Order" choices={SORTS} />
        </FilterBar>
      </div>
      <Table
        label="Steps"
        rows={rows}
        columns={COLUMNS}
        keyOf={({ key }) => key}
        onOpen={({ key }) => pickStep(key)}
        selectedKey={selection?.kind === "step" ? selection.key : null}
        empty={<Empty title="No step matches the filter">A part of the name is enough, in any case.</Empty>}
      />
    </>
  );
}

function rowOf(live: LiveRun, place: number, createdMs: number): Row {
  const { key = "", task = "" } = live.shape.steps[place] ?? {};
  const step = live.steps[place] ?? BLOCKED_STEP;
  const isKept = isKeptStep(step, createdMs);
  return {
    key,
    task,
    state: shownState(live, place),
    step,
    elements: elementSummary(live, place),
    isKept,
    startMs: step.startedMs === null || isKept ? null : Math.max(0, step.startedMs - createdMs),
  };
}

/** The one thing to know about it now. */
function StepNote({ row: { step, elements, isKept } }: { readonly row: Row }) {
  const { state, error, progress, message } = step;
  if (elements !== null && elements.total > 0)
    return <CountsProgress counts={elements.counts} total={elements.total} />;
  if (isKept) return <span className="faint">taken over</span>;
  if (error !== null && state !== "succeeded") {
    return (
      <span className="muted" title={error.message}>
        <code>{error.code}</code> {error.message}
      </span>
    );
  }
  if (state !== "running" || (progress === null && message === null)) return null;
  return (
    <span className="run-name">
      {progress !== null && <Progress share={progress} />}
      <span className="truncate muted">{message}</span>
    </span>
  );
}
