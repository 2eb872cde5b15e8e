/** The filter of the list of runs as it stands in the address, and as the API takes it. Pure. */
import type { RunFilter } from "../../client/index.ts";
import { RUN_STATES } from "../../model/run.ts";
import { readLabels, readTimes } from "../tasks/task-filter.ts";

export const RUN_PARAMS = ["state", "job", "label", "since", "after", "before", "at"] as const;

export type ReadRunFilter = {
  readonly filter: RunFilter;
  /** What is wrong with a parameter, which is then left out. */
  readonly issues: Readonly<Record<string, string>>;
};

/** @param nowMs what `since` counts from, in milliseconds since 1970 */
export function readRunFilter(params: URLSearchParams, nowMs: number): ReadRunFilter {
  const states = RUN_STATES.filter((state) => params.getAll("state").includes(state));
  const labels = readLabels(params.get("label") ?? "");
  const job = params.get("job") || undefined;
  return {
    filter: {
      ...(states.length > 0 && { states }),
      ...(job !== undefined && { job }),
      ...(labels !== undefined && Object.keys(labels).length > 0 && { labels }),
      ...readTimes(params, nowMs),
    },
    issues: labels === undefined ? { label: "Expected name=value, several of them with commas between." } : {},
  };
}
