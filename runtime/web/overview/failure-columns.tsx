/** Why tasks failed lately: one row for a task and a reason. */
import { Link } from "wouter";
import type { OverviewFailure } from "../../client/index.ts";
import { countText } from "../components/number-text.ts";
import type { Column } from "../components/table.tsx";
import { Time } from "../components/time.tsx";
import { taskHref } from "../tasks/task-columns.tsx";

export const FAILURE_COLUMNS: readonly Column<OverviewFailure>[] = [
  {
    key: "what",
    title: "Task and reason",
    cell: (failure) => (
      <span className="failure-what">
        <span className="truncate">
          <Link href={failureHref(failure)}>{failure.task}</Link> <code>{failure.code}</code>
        </span>
        <span className="truncate muted" title={failure.message ?? undefined}>
          {failure.message}
        </span>
      </span>
    ),
  },
  { key: "count", title: "Failed", width: "72px", align: "end", cell: ({ count }) => countText(count) },
  {
    key: "last",
    title: "Last",
    width: "104px",
    align: "end",
    cell: ({ lastAt, lastTaskId }) => (
      <Link href={taskHref(lastTaskId)}>
        <Time at={lastAt} />
      </Link>
    ),
  },
];

/** All that failed of that task in the time. */
export function failureHref({ task }: OverviewFailure): string {
  return `/tasks?${new URLSearchParams({ state: "failed", task, since: "1h" })}`;
}
