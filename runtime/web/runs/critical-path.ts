/** Why a run took as long as it did: the step that ended last, the parent that it waited for longest, that one's, and so on to the beginning. */
import { isKeptStep } from "./gantt-model.ts";
import type { LiveRun } from "./live-run.ts";

/** Places, first step first; empty while nothing has ended. Steps that were taken over from an earlier run cost this one no time. */
export function criticalPath(run: LiveRun, createdMs: number): readonly number[] {
  const endOf = (place: number): number => {
    const step = run.steps[place];
    if (step === undefined || step.startedMs === null || isKeptStep(step, createdMs)) return Number.NEGATIVE_INFINITY;
    return step.endedMs ?? Number.NEGATIVE_INFINITY;
  };
  const path: number[] = [];
  let here = latest([...run.steps.keys()], endOf);
  while (here !== undefined) {
    path.push(here);
    here = latest(
      (run.shape.parents[here] ?? []).map(({ place }) => place),
      endOf,
    );
  }
  return path.reverse();
}

function latest(places: readonly number[], endOf: (place: number) => number): number | undefined {
  let found: number | undefined;
  let end = Number.NEGATIVE_INFINITY;
  for (const place of places) {
    if (endOf(place) <= end) continue;
    end = endOf(place);
    found = place;
  }
  return found;
}
