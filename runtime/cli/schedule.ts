/** `taskiq-aws schedule`: create, list, show, pause, resume, trigger and delete schedules. They are named by name or by id. */
import { ApiError } from "../client/api-error.ts";
import type { Client } from "../client/client.ts";
import type { Schedule } from "../client/schedules.ts";
import { systemClock } from "../clock.ts";
import type { CatchUp, Overlap } from "../model/schedule.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { readInput } from "./input.ts";
import { scheduleBlock, scheduleTable } from "./schedule-text.ts";
import type { Screen } from "./screen.ts";
import { oneLine } from "./text.ts";

export type ScheduleOptions = { readonly url: string; readonly json?: true };
export type ScheduleTriggerOptions = ScheduleOptions & { readonly idempotencyKey?: string };
export type ScheduleCreateOptions = ScheduleTriggerOptions & {
  readonly cron?: string;
  readonly timeZone?: string;
  /** Milliseconds. */
  readonly every?: number;
  readonly catchUp?: CatchUp;
  readonly catchUpLimit?: number;
  readonly overlap?: Overlap;
  readonly priority?: number;
  readonly queue?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly paused?: true;
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export async function createSchedule(
  name: string,
  task: string,
  input: string | undefined,
  options: ScheduleCreateOptions,
  screen: Screen,
): Promise<ExitCode> {
  const { url, json, idempotencyKey, every, label, ...same } = options;
  const schedule = await openClient(url).schedules.create(
    {
      ...same,
      name,
      task,
      input: await readInput(input, process.stdin),
      ...(every !== undefined && { intervalMs: every }),
      ...(label !== undefined && { labels: label }),
    },
    idempotencyKey === undefined ? {} : { idempotencyKey },
  );
  screen.out.line(json === true ? schedule.json : schedule.scheduleId);
  if (json !== true && schedule.nextAt !== null) screen.notes.line(`It fires first ${schedule.nextAt.toISOString()}.`);
  return EXIT.ok;
}

export async function listSchedules({ url, json }: ScheduleOptions, screen: Screen): Promise<ExitCode> {
  const client = openClient(url);
  const schedules: Schedule[] = [];
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<Client["schedules"]["list"]>> = await client.schedules.list(
      after === null ? {} : { after },
    );
    schedules.push(...page.schedules);
    after = page.next;
  } while (after !== null);
  if (json === true) screen.out.line(`[${schedules.map((schedule) => schedule.json).join(",")}]`);
  else for (const line of scheduleTable(schedules, systemClock.wallMs())) screen.out.line(line);
  return EXIT.ok;
}

/** What was done to it, and what it is now. */
const DONE = { pause: "is paused", resume: "is active", delete: "is deleted" } as const;

export async function changeSchedule(
  verb: "show" | keyof typeof DONE,
  nameOrId: string,
  { url, json }: ScheduleOptions,
  screen: Screen,
): Promise<ExitCode> {
  const client = openClient(url);
  const id = await idOf(nameOrId, client);
  const schedule = await (verb === "show" ? client.schedules.get(id) : client.schedules[verb](id));
  if (json === true) screen.out.line(schedule.json);
  else if (verb === "show") screen.out.line(scheduleBlock(schedule, screen.out, systemClock.wallMs()));
  else screen.out.line(`Schedule ${oneLine(schedule.name)} ${DONE[verb]}.`);
  return EXIT.ok;
}

export async function triggerSchedule(
  nameOrId: string,
  { url, json, idempotencyKey }: ScheduleTriggerOptions,
  screen: Screen,
): Promise<ExitCode> {
  const client = openClient(url);
  const id = await idOf(nameOrId, client);
  const { taskId } = await client.schedules.trigger(id, idempotencyKey === undefined ? {} : { idempotencyKey });
  screen.out.line(json === true ? JSON.stringify({ task_id: taskId, state: "queued" }) : taskId);
  return EXIT.ok;
}

async function idOf(nameOrId: string, client: Client): Promise<string> {
  if (UUID.test(nameOrId)) return nameOrId;
  const [found] = (await client.schedules.list({ name: nameOrId })).schedules;
  if (found !== undefined) return found.scheduleId;
  throw new ApiError({
    code: "schedule_not_found",
    status: 404,
    detail: `expected the name or id of a schedule, got ${JSON.stringify(nameOrId)}. taskiq-aws schedule list shows them.`,
  });
}
