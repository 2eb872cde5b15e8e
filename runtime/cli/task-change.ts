/** `taskiq-aws task cancel` and `task retry`: one task by its id, or all that a filter matches, after a count. */
import type { BulkOptions, BulkOutcome } from "../client/tasks.ts";
import { TaskiqError } from "../errors.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { type FilterOptions, filterOf, isEmpty } from "./filter-options.ts";
import type { Screen } from "./screen.ts";

export type TaskChangeOptions = FilterOptions & {
  readonly url: string;
  /** Of a cancellation. */
  readonly reason?: string;
  /** Without a filter: every task. */
  readonly all?: true;
  readonly yes?: true;
  readonly json?: true;
};

export async function cancelTasks(
  id: string | undefined,
  options: TaskChangeOptions,
  screen: Screen,
): Promise<ExitCode> {
  const { tasks } = openClient(options.url);
  const reason = options.reason === undefined ? {} : { reason: options.reason };
  const filter = filterOf(options);
  checkTarget(id, options, "cancel");
  if (id === undefined) {
    const change = (bulk: BulkOptions) => tasks.cancelMany(filter, { ...bulk, ...reason });
    return await changeMany("cancel", await tasks.countCancellable(filter), change, options, screen);
  }
  const { state } = await tasks.cancel(id, reason);
  const text = state === "running" ? `Task ${id} runs, and is being stopped.` : `Task ${id} is ${state}.`;
  screen.out.line(options.json === true ? JSON.stringify({ task_id: id, state }) : text);
  return EXIT.ok;
}

export async function retryTasks(
  id: string | undefined,
  options: TaskChangeOptions,
  screen: Screen,
): Promise<ExitCode> {
  const { tasks } = openClient(options.url);
  const filter = filterOf(options);
  checkTarget(id, options, "retry");
  if (id === undefined) {
    const change = (bulk: BulkOptions) => tasks.retryMany(filter, bulk);
    return await changeMany("retry", await tasks.countRetryable(filter), change, options, screen);
  }
  const { state } = await tasks.retry(id);
  screen.out.line(options.json === true ? JSON.stringify({ task_id: id, state }) : `Task ${id} is ${state}.`);
  return EXIT.ok;
}

/** Neither by mistake: every task there is, or a filter that goes unnoticed beside an id. */
function checkTarget(id: string | undefined, options: TaskChangeOptions, verb: "cancel" | "retry"): void {
  const expected = `taskiq-aws task ${verb}: expected`;
  if (id !== undefined && (!isEmpty(options) || options.all === true)) {
    throw new TaskiqError("request_invalid", `${expected} an id or a filter, got both. Leave one out.`);
  }
  if (id === undefined && isEmpty(options) && options.all !== true) {
    throw new TaskiqError("request_invalid", `${expected} an id, a filter such as --task, or --all; got none of them.`);
  }
}

async function changeMany(
  verb: "cancel" | "retry",
  count: BulkOptions,
  change: (bulk: BulkOptions) => Promise<BulkOutcome>,
  { yes, json }: TaskChangeOptions,
  screen: Screen,
): Promise<ExitCode> {
  const { matched } = count;
  const none: BulkOutcome = { changed: 0, stopping: 0, unchanged: 0 };
  const isTold = yes !== true || matched === 0;
  const onProgress = (remaining: number): void => {
    if (remaining > 0) screen.notes.line(`${number(remaining)} are left.`);
  };
  const outcome = isTold ? none : await change({ ...count, onProgress });
  if (json === true) screen.out.line(JSON.stringify({ matched, ...outcome, done: !isTold || matched === 0 }));
  else if (isTold) screen.out.line(`${number(matched)} ${plural(matched, "task matches", "tasks match")}.`);
  else screen.out.line(`${describe(verb, outcome)}.`);
  if (isTold && matched > 0) screen.notes.line(`Nothing was changed. To ${verb} them, add --yes.`);
  return EXIT.ok;
}

function describe(verb: "cancel" | "retry", { changed, stopping, unchanged }: BulkOutcome): string {
  return [
    `${number(changed)} ${plural(changed, "task is", "tasks are")} ${verb === "cancel" ? "cancelled" : "queued again"}`,
    ...(stopping === 0 ? [] : [`${number(stopping)} ${plural(stopping, "runs and is", "run and are")} being stopped`]),
    ...(unchanged === 0
      ? []
      : [`${number(unchanged)} had changed meanwhile and ${plural(unchanged, "was", "were")} left alone`]),
  ].join(", ");
}

function number(count: number): string {
  return count.toLocaleString("en-US");
}

function plural(count: number, one: string, many: string): string {
  return count === 1 ? one : many;
}
