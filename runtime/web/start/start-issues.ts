/** Where on the form the API's complaints belong: at a field of the input, at an option, or above all. */
import type { ApiIssue } from "../../client/index.ts";
import type { OptionName } from "./start-options.ts";

export type PlacedIssues = {
  /** By paths inside the input; an empty one is the input as a whole. */
  readonly input: readonly ApiIssue[];
  readonly options: Partial<Record<OptionName, string>>;
  /** What has no field here. */
  readonly other: readonly ApiIssue[];
};

const OPTIONS: Readonly<Record<string, OptionName>> = {
  queue: "queue",
  priority: "priority",
  delay_seconds: "delay",
  ordering_key: "orderingKey",
  labels: "labels",
  "headers.idempotency-key": "key",
  "idempotency-key": "key",
};

export const NO_ISSUES: PlacedIssues = { input: [], options: {}, other: [] };

export function placeIssues(issues: readonly ApiIssue[]): PlacedIssues {
  const input: ApiIssue[] = [];
  const other: ApiIssue[] = [];
  const options: Partial<Record<OptionName, string>> = {};
  for (const { path, message } of issues) {
    const option = OPTIONS[path] ?? OPTIONS[path.split(".")[0] ?? ""];
    if (path === "input" || path.startsWith("input.")) input.push({ path: path.slice("input.".length), message });
    else if (option !== undefined) options[option] = [options[option], `${message}.`].filter(Boolean).join(" ");
    else other.push({ path, message });
  }
  return { input, options, other };
}
