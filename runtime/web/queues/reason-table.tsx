/** What lies in a dead-letter queue, by task and reason. */
import { Link } from "wouter";
import type { RedrivenTasks, RedriveReport } from "../../client/index.ts";
import { countText } from "../components/number-text.ts";
import { type Column, Table } from "../components/table.tsx";

const COLUMNS: readonly Column<RedrivenTasks>[] = [
  {
    key: "task",
    title: "Task",
    width: "34%",
    cell: ({ task }) =>
      task === null ? (
        <span className="muted">none: poison</span>
      ) : (
        <Link href={`/tasks?${new URLSearchParams({ task, state: "failed" })}`}>{task}</Link>
      ),
  },
  { key: "reason", title: "Reason", cell: ({ reason }) => <code title={reason}>{reason}</code> },
  { key: "count", title: "Messages", width: "96px", align: "end", cell: ({ count }) => countText(count) },
];

export function ReasonTable({ report }: { readonly report: RedriveReport }) {
  return (
    <Table
      label="Dead letters by reason"
      rows={report.tasks}
      columns={COLUMNS}
      keyOf={({ task, reason }) => `${task} ${reason}`}
      rowPx={36}
      empty={<p>Nothing in it can go back to work.</p>}
    />
  );
}
