/** What stands in the form of a new schedule, and the schedule that follows from it. Pure. */
import { JsonText, type NewSchedule } from "../../client/index.ts";
import { CATCH_UP_POLICIES, OVERLAP_POLICIES, SCHEDULE_DEFAULTS, SCHEDULE_LIMITS } from "../../model/schedule.ts";
import { readLabels } from "../tasks/task-filter.ts";

export type ScheduleFields = {
  readonly name: string;
  readonly task: string;
  readonly input: string;
  readonly kind: "cron" | "interval";
  readonly cron: string;
  readonly timeZone: string;
  readonly intervalSeconds: string;
  readonly queue: string;
  readonly priority: string;
  readonly labels: string;
  readonly catchUp: string;
  readonly overlap: string;
  readonly paused: boolean;
};

/** What is wrong, by field. */
export type FieldIssues = Partial<Record<keyof ScheduleFields, string>>;

export const EMPTY_SCHEDULE: ScheduleFields = {
  name: "",
  task: "",
  input: "",
  kind: "cron",
  cron: "0 2 * * *",
  timeZone: SCHEDULE_DEFAULTS.timeZone,
  intervalSeconds: "3600",
  queue: "",
  priority: "",
  labels: "",
  catchUp: SCHEDULE_DEFAULTS.catchUp,
  overlap: SCHEDULE_DEFAULTS.overlap,
  paused: false,
};

export type ReadSchedule =
  | { readonly kind: "schedule"; readonly schedule: NewSchedule }
  | { readonly kind: "wrong"; readonly issues: FieldIssues };

/** Only what the API could not tell by itself: it checks names, times and the input again. */
export function readSchedule(fields: ScheduleFields): ReadSchedule {
  const issues: FieldIssues = {};
  if (fields.name.trim() === "") issues.name = "Expected a name.";
  if (fields.task === "") issues.task = "Choose a task.";
  const input = readInput(fields.input);
  if (input === null) issues.input = `Expected JSON, such as {"rows": 3}, or nothing.`;
  const intervalMs = Math.round(Number(fields.intervalSeconds) * 1_000);
  const { min, max } = SCHEDULE_LIMITS.intervalMs;
  if (fields.kind === "interval" && !(intervalMs >= min && intervalMs <= max)) {
    issues.intervalSeconds = `Expected ${min / 1_000} to ${max / 1_000} seconds.`;
  }
  if (fields.kind === "cron" && fields.cron.trim() === "")
    issues.cron = "Expected five or six fields, such as 0 2 * * *.";
  if (fields.priority !== "" && !/^-?\d+$/.test(fields.priority))
    issues.priority = "Expected a whole number from -100 to 100.";
  const labels = readLabels(fields.labels);
  if (labels === undefined) issues.labels = "Expected name=value, several of them with commas between.";
  if (Object.keys(issues).length > 0) return { kind: "wrong", issues };

  const catchUp = CATCH_UP_POLICIES.find((policy) => policy === fields.catchUp);
  const overlap = OVERLAP_POLICIES.find((policy) => policy === fields.overlap);
  return {
    kind: "schedule",
    schedule: {
      name: fields.name.trim(),
      task: fields.task,
      ...(input && { input }),
      ...(fields.kind === "cron" ? { cron: fields.cron.trim(), timeZone: fields.timeZone.trim() } : { intervalMs }),
      ...(fields.queue !== "" && { queue: fields.queue }),
      ...(fields.priority !== "" && { priority: Number(fields.priority) }),
      ...(labels !== undefined && Object.keys(labels).length > 0 && { labels }),
      ...(catchUp && { catchUp }),
      ...(overlap && { overlap }),
      ...(fields.paused && { paused: true }),
    },
  };
}

const API_FIELDS: Readonly<Record<string, keyof ScheduleFields>> = {
  name: "name",
  task: "task",
  input: "input",
  cron: "cron",
  time_zone: "timeZone",
  interval_seconds: "intervalSeconds",
  queue: "queue",
  priority: "priority",
  labels: "labels",
  catch_up: "catchUp",
  overlap: "overlap",
};

/** The issues of an answer at the fields that they are about. `input.rows` is about the input. */
export function fieldIssues(issues: readonly { readonly path: string; readonly message: string }[]): FieldIssues {
  const found: FieldIssues = {};
  for (const { path, message } of issues) {
    const [first = "", ...rest] = path.split(".");
    const field = API_FIELDS[first];
    if (field !== undefined) found[field] = rest.length === 0 ? message : `${rest.join(".")}: ${message}`;
  }
  return found;
}

/** Undefined: none. Null: it is no JSON. As text: a browser would round large numbers. */
function readInput(text: string): JsonText | undefined | null {
  if (text.trim() === "") return undefined;
  try {
    return new JsonText(text);
  } catch {
    return null;
  }
}
