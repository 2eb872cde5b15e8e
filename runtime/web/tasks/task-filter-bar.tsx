/** The filters of the list of tasks. */
import { TASK_STATES } from "../../model/task.ts";
import { useNames } from "../api/use-names.ts";
import { FilterBar, SelectFilter, StateFilter, TextFilter } from "../components/filter-bar.tsx";
import { useParams } from "../route/params.ts";
import { BETWEEN, readTaskFilter, SPANS, TASK_PARAMS } from "./task-filter.ts";
import { TimesFilter } from "./times-filter.tsx";

const TIMES = [["", "Any time"], ...SPANS.map(([name, text]) => [name, text] as const), [BETWEEN, "Between…"]] as const;

export function TaskFilterBar() {
  const [params] = useParams();
  const names = useNames();
  const { issues } = readTaskFilter(params, 0);
  return (
    <FilterBar params={TASK_PARAMS}>
      <StateFilter states={TASK_STATES} />
      <TextFilter param="task" label="Name of the task" placeholder="Task" suggestions={names.tasks} />
      <SelectFilter
        param="queue"
        label="Queue"
        choices={[["", "Any queue"], ...names.queues.map((name) => [name, name] as const)]}
      />
      <TextFilter param="label" label="Labels, name=value" placeholder="label=value" issue={issues.label} />
      <SelectFilter param="since" label="Accepted" choices={TIMES} />
      {params.get("since") === BETWEEN && <TimesFilter />}
    </FilterBar>
  );
}
