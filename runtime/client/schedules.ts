/** Schedules over HTTP. */
import type { CatchUp, Overlap, ScheduleState } from "../model/schedule.ts";
import { checkedKey, newKey } from "./idempotency-key.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";
import { inputJson, type TaskSettings } from "./task-request.ts";

export type Schedule = {
  readonly scheduleId: string;
  readonly name: string;
  /** `disabled`: its task could not be made for an hour; `problem` says why. */
  readonly state: ScheduleState;
  readonly task: string;
  readonly input: unknown;
  /** Null, as with `priority`: that of the task. */
  readonly queue: string | null;
  readonly priority: number | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly cron: string | null;
  readonly timeZone: string | null;
  readonly intervalMs: number | null;
  readonly catchUp: CatchUp;
  readonly catchUpLimit: number;
  readonly overlap: Overlap;
  readonly problem: { readonly code: string; readonly message: string; readonly at: Date } | null;
  /** Null while it is not active. */
  readonly nextAt: Date | null;
  /** The last time that became a task, and that task. */
  readonly lastFiredFor: Date | null;
  readonly lastTaskId: string | null;
  /** Times that became tasks. */
  readonly fired: number;
  /** Times left out because the task of an earlier one had not ended. */
  readonly overlapped: number;
  readonly createdAt: Date;
  /** The answer as it came. */
  readonly json: string;
};

export type NewSchedule = Pick<TaskSettings, "queue" | "priority" | "labels"> & {
  /** Unique; 1..200 printable characters. */
  readonly name: string;
  /** The name of a task. */
  readonly task: string;
  /** Undefined: none. At most 262,144 bytes. */
  readonly input?: unknown;
  /** Minute, hour, day of the month, month, day of the week; with six fields the first is the second. This or `intervalMs`. */
  readonly cron?: string;
  /** Of `cron`, such as `Europe/Berlin`. Default `UTC`. */
  readonly timeZone?: string;
  /** 1,000..31,536,000,000 ms. */
  readonly intervalMs?: number;
  /** For times more than a minute ago: none, one task for all of them, one for each of the last `catchUpLimit`. Default `one`. */
  readonly catchUp?: CatchUp;
  /** 1..100, the default. */
  readonly catchUpLimit?: number;
  /** `skip`: a time is left out while the task of the last one has not ended. Default `allow`. */
  readonly overlap?: Overlap;
  /** It starts when it is resumed. Default false. */
  readonly paused?: boolean;
};

/** `next`, given as `after`, leads to those behind; null: there are no more. */
export type SchedulePage = { readonly schedules: readonly Schedule[]; readonly next: string | null };

export type Schedules = {
  /** `idempotencyKey`: the same key gives the same schedule for as long as it is there. Default: a new one for each call. */
  create(schedule: NewSchedule, options?: { readonly idempotencyKey?: string }): Promise<Schedule>;
  /** In the order of their names. `limit` 1..500, default 100. */
  list(options?: { readonly name?: string; readonly after?: string; readonly limit?: number }): Promise<SchedulePage>;
  get(id: string): Promise<Schedule>;
  pause(id: string): Promise<Schedule>;
  /** Goes on with the first time from now on. */
  resume(id: string): Promise<Schedule>;
  /** What it was. Where an answer got lost on its way, the repeated request finds nothing: `schedule_not_found`. */
  delete(id: string): Promise<Schedule>;
  /** Submits its task now. */
  trigger(id: string, options?: { readonly idempotencyKey?: string }): Promise<{ readonly taskId: string }>;
};

/** @param refuse throws the error of an answer that this API cannot have given */
export function createScheduleClient(requester: Requester, refuse: (text: string) => never): Schedules {
  const pathOf = (id: string, verb = "") => `/v1/schedules/${encodeURIComponent(id)}${verb}`;
  const read = (text: string) => readSchedule(text) ?? refuse(text);

  return {
    async create(schedule, { idempotencyKey = newKey() } = {}) {
      const body = scheduleJson(schedule);
      const path = "/v1/schedules";
      return read(await requester.send({ method: "POST", path, body, idempotencyKey: checkedKey(idempotencyKey) }));
    },
    async list({ name, after, limit } = {}) {
      const query = new URLSearchParams();
      for (const [key, value] of Object.entries({ name, after, limit })) {
        if (value !== undefined) query.set(key, String(value));
      }
      const text = await requester.send({ method: "GET", path: `/v1/schedules?${query}` });
      const page = jsonObject(text);
      if (!Array.isArray(page?.schedules)) return refuse(text);
      const schedules = page.schedules.map((one) => read(JSON.stringify(one)));
      return { schedules, next: typeof page.next === "string" ? page.next : null };
    },
    get: async (id) => read(await requester.send({ method: "GET", path: pathOf(id) })),
    pause: async (id) => read(await requester.send({ method: "POST", path: pathOf(id, "/pause") })),
    resume: async (id) => read(await requester.send({ method: "POST", path: pathOf(id, "/resume") })),
    delete: async (id) => read(await requester.send({ method: "DELETE", path: pathOf(id) })),
    async trigger(id, { idempotencyKey = newKey() } = {}) {
      const key = checkedKey(idempotencyKey);
      const text = await requester.send({ method: "POST", path: pathOf(id, "/trigger"), idempotencyKey: key });
      const taskId = jsonObject(text)?.task_id;
      return typeof taskId === "string" ? { taskId } : refuse(text);
    },
  };
}

/** The input as its own text: it may hold numbers that JavaScript would round, which the API then refuses by their path. */
function scheduleJson({ input, timeZone, intervalMs, catchUp, catchUpLimit, ...same }: NewSchedule): string {
  const members = JSON.stringify({
    ...same,
    time_zone: timeZone,
    interval_seconds: intervalMs === undefined ? undefined : intervalMs / 1_000,
    catch_up: catchUp,
    catch_up_limit: catchUpLimit,
  });
  const text = inputJson(input);
  return text === undefined ? members : `${members.slice(0, -1)},"input":${text}}`;
}

/** The names of the answer, which this version of the API always has. */
type ScheduleBody = {
  schedule_id: string;
  name: string;
  state: ScheduleState;
  task: string;
  input: unknown;
  queue: string | null;
  priority: number | null;
  labels: Record<string, string>;
  cron: string | null;
  time_zone: string | null;
  interval_seconds: number | null;
  catch_up: CatchUp;
  catch_up_limit: number;
  overlap: Overlap;
  problem: { code: string; message: string; at: string } | null;
  next_at: string | null;
  last_fired_for: string | null;
  last_task_id: string | null;
  fired: number;
  overlapped: number;
  created_at: string;
};

function readSchedule(json: string): Schedule | undefined {
  const object = jsonObject(json);
  if (typeof object?.schedule_id !== "string" || typeof object.state !== "string") return undefined;
  // Whoever answers with an id and a state is the API, which keeps to its OpenAPI description.
  const body = object as ScheduleBody;
  return {
    scheduleId: body.schedule_id,
    name: body.name,
    state: body.state,
    task: body.task,
    input: body.input,
    queue: body.queue,
    priority: body.priority,
    labels: body.labels,
    cron: body.cron,
    timeZone: body.time_zone,
    intervalMs: body.interval_seconds === null ? null : Math.round(body.interval_seconds * 1_000),
    catchUp: body.catch_up,
    catchUpLimit: body.catch_up_limit,
    overlap: body.overlap,
    problem: body.problem === null ? null : { ...body.problem, at: new Date(body.problem.at) },
    nextAt: dateOrNull(body.next_at),
    lastFiredFor: dateOrNull(body.last_fired_for),
    lastTaskId: body.last_task_id,
    fired: body.fired,
    overlapped: body.overlapped,
    createdAt: new Date(body.created_at),
    json,
  };
}

function dateOrNull(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
