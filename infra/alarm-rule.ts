/** One alarm as data: what is compared with what, and what whoever is called shall do. */
import type { Metric } from "./watched.ts";

export type AlarmRule = {
  /** Unique in the stack; part of the alarm's name. */
  readonly id: string;
  /** `page`: somebody is called. `warn`: it can wait until the morning. */
  readonly severity: "page" | "warn";
  /** Anchor in infra/README.md: `#alarm-<runbook>`. Never renamed, because alarms that rang name it. */
  readonly runbook: string;
  /** What it means when it rings, in one sentence. */
  readonly means: string;
  /** What to do then, in one sentence. */
  readonly todo: string;
  /** A metric, or an expression over named ones. */
  readonly signal: Metric | { readonly expression: string; readonly of: Readonly<Record<string, Metric>> };
  readonly comparison: ">" | ">=" | "<";
  readonly threshold: number;
  readonly periodSeconds: number;
  /** Rings when so many of the last so many periods are beyond the threshold. */
  readonly periods: readonly [beyond: number, of: number];
  /** What a period without data counts as. */
  readonly missing: "breaching" | "notBreaching" | "missing";
};

/** CloudWatch's limit for an alarm's description. */
export const MAX_DESCRIPTION = 1_024;

export function description({ severity, means, todo, runbook }: AlarmRule): string {
  return `${severity.toUpperCase()}: ${means} ${todo} Runbook: infra/README.md#alarm-${runbook}`;
}
