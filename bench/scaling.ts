/**
 * `npm run bench:scaling`: what each scaling policy does to the same loads, as the Markdown table of infra/README.md.
 *
 * Means over the seeds 1 to 8, so the same table every time. Waits in seconds, from the arrival of a task to its first claim.
 */

import { BUILTIN, CLOUDWATCH, LITERAL, type NamedDriver, TARGET_TRACKING } from "./scaling-drivers.ts";
import { LOADS } from "./scaling-loads.ts";
import { type Fleet, type Load, type Outcome, simulate } from "./scaling-simulator.ts";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const UNPROTECTED: Fleet = { slots: 5, startSeconds: 60, initial: 1, protection: "none" };
/** As deployed: TASKIQ_PROTECT_AFTER_MS and the first part of the drain. */
const DEPLOYED: Fleet = { ...UNPROTECTED, protection: { afterSeconds: 1, drainSeconds: 100 } };

console.log("| load | policy | p50 wait s | p95 | max | task-hours | outs / ins | turns | hit, unprotected | hit |");
console.log("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
for (const load of LOADS) {
  for (const driver of [CLOUDWATCH, BUILTIN, LITERAL, TARGET_TRACKING]) console.log(row(load, driver));
}

function row(load: Load, { name, create }: NamedDriver): string {
  const deployed = SEEDS.map((seed) => simulate(load, DEPLOYED, create(), seed));
  const unprotected = SEEDS.map((seed) => simulate(load, UNPROTECTED, create(), seed));
  const cells = [
    load.name,
    name,
    mean(deployed, "p50", 0),
    mean(deployed, "p95", 0),
    mean(deployed, "max", 0),
    mean(deployed, "taskHours", 1),
    `${mean(deployed, "outs", 1)} / ${mean(deployed, "ins", 1)}`,
    mean(deployed, "turns", 1),
    mean(unprotected, "hits", 1),
    mean(deployed, "hits", 1),
  ];
  return `| ${cells.join(" | ")} |`;
}

function mean(outcomes: readonly Outcome[], of: Exclude<keyof Outcome, "desired">, digits: number): string {
  return (outcomes.reduce((sum, outcome) => sum + outcome[of], 0) / outcomes.length).toFixed(digits);
}
