/** The figures at the top of the overview, each of which leads to its page. */
import { Link } from "wouter";
import type { Overview } from "../../client/index.ts";
import { Stat, Stats } from "../components/card.tsx";
import { cappedText, countedNoun, countText, percentText, rateText } from "../components/number-text.ts";
import { Skeleton } from "../components/skeleton.tsx";
import { ratePerSecond, successShare } from "./chart-model.ts";

export function Figures({ overview }: { readonly overview: Overview | undefined }) {
  if (overview === undefined) {
    return (
      <div aria-busy="true">
        <Stats>
          {["Throughput", "Success", "Waiting", "Running", "Runs", "Workers", "Schedules"].map((label) => (
            <Stat key={label} label={label} note={<Skeleton width={80} height={10} />}>
              <Skeleton width={60} height={22} />
            </Stat>
          ))}
        </Stats>
      </div>
    );
  }
  const { totals, tasks, runs, workers, schedules } = overview;
  const share = successShare(totals);
  return (
    <Stats>
      <Stat label="Throughput" note="over the last minute">
        {rateText(ratePerSecond(overview))}
      </Stat>
      <Stat
        label="Success"
        note={<Link href="/tasks?state=failed&since=1h">{countText(totals.failed)} failed in 15 m</Link>}
      >
        {share === null ? "–" : percentText(share)}
      </Stat>
      <Stat
        label="Waiting"
        note={tasks.blocked > 0 ? `and ${cappedText(tasks.blocked)} blocked` : "for a slot or their time"}
      >
        <Link href="/tasks?state=queued">{cappedText(tasks.queued)}</Link>
      </Stat>
      <Stat label="Running" note={`${countText(workers.running)} of ${countedNoun(workers.slots, "slot")} in use`}>
        <Link href="/tasks?state=running">{cappedText(tasks.running)}</Link>
      </Stat>
      <Stat label="Runs" note={`${countText(runs.failed)} failed in 1 h`}>
        <Link href="/runs">{countText(runs.running)}</Link>
      </Stat>
      <Stat label="Workers" note={workersNote(workers)}>
        <Link href="/workers">{countText(workers.alive)}</Link>
      </Stat>
      <Stat label="Schedules" note={schedulesNote(schedules)}>
        <Link href="/schedules">{countText(schedules.active)}</Link>
      </Stat>
    </Stats>
  );
}

function workersNote({ draining, lost }: Overview["workers"]): string {
  const parts = [draining > 0 ? `${draining} draining` : "", lost > 0 ? `${lost} lost` : ""].filter(
    (part) => part !== "",
  );
  return parts.length === 0 ? "all of them alive" : parts.join(", ");
}

function schedulesNote({ paused, disabled }: Overview["schedules"]): string {
  const parts = [paused > 0 ? `${paused} paused` : "", disabled > 0 ? `${disabled} disabled` : ""].filter(
    (part) => part !== "",
  );
  return parts.length === 0 ? "active" : parts.join(", ");
}
