/** The charts of the overview. Their code is fetched behind the figures, which do not wait for it. */
import { lazy, Suspense, useMemo } from "react";
import type { Overview } from "../../client/index.ts";
import { Card } from "../components/card.tsx";
import { countedNoun, countText, shortCountText } from "../components/number-text.ts";
import { durationText } from "../components/time-text.ts";
import { endedModel, percentileModel } from "./chart-model.ts";

const TimeChart = lazy(() => import("./time-chart.tsx"));

const NO_POINTS: Overview["points"] = [];

export function Charts({ overview }: { readonly overview: Overview | undefined }) {
  const points = overview?.points ?? NO_POINTS;
  const ended = useMemo(() => endedModel(points), [points]);
  const waited = useMemo(() => percentileModel(points, "wait"), [points]);
  const ran = useMemo(() => percentileModel(points, "run"), [points]);
  const totals = overview?.totals;
  const every = overview === undefined ? "" : `every ${overview.intervalSeconds} s, last 15 minutes`;
  const endedText =
    totals === undefined
      ? ""
      : `${countedNoun(totals.succeeded, "task")} succeeded and ${countText(totals.failed)} failed in 15 minutes`;
  return (
    <div className="overview-charts">
      <Card title="Tasks that ended" aside={every}>
        <Box>{overview && <TimeChart model={ended} kind="bars" label={endedText} valueText={shortCountText} />}</Box>
      </Card>
      <Card title="Time to start" aside={<Percentile ms={totals?.waitP95Ms} />}>
        <Box>
          {overview && (
            <TimeChart
              model={waited}
              kind="lines"
              label={spoken("waited", totals?.waitP95Ms)}
              valueText={durationText}
            />
          )}
        </Box>
      </Card>
      <Card title="Time to run" aside={<Percentile ms={totals?.runP95Ms} />}>
        <Box>
          {overview && (
            <TimeChart model={ran} kind="lines" label={spoken("ran", totals?.runP95Ms)} valueText={durationText} />
          )}
        </Box>
      </Card>
    </div>
  );
}

/** As high as a chart, so that nothing moves when it comes. */
function Box({ children }: { readonly children: React.ReactNode }) {
  return (
    <div className="overview-chart">
      <Suspense fallback={<div aria-busy="true" />}>{children}</Suspense>
    </div>
  );
}

function Percentile({ ms }: { readonly ms: number | null | undefined }) {
  return ms === null || ms === undefined ? null : <>95 % within {durationText(ms)}</>;
}

function spoken(verb: string, ms: number | null | undefined): string {
  return ms === null || ms === undefined
    ? `No task ${verb} lately`
    : `95 % of the tasks ${verb} at most ${durationText(ms)}`;
}
