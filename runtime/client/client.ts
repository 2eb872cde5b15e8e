/** The API as functions. Needs nothing but `fetch`, and creates nothing twice however often a request has to be repeated. */
import type { z } from "zod";
import { type Clock, systemClock } from "../clock.ts";
import type { EventOptions } from "./event-stream.ts";
import { type Health, readHealth } from "./health.ts";
import { checkedKey, newKey } from "./idempotency-key.ts";
import { createJobs, type Jobs } from "./jobs.ts";
import { createKeys, type Keys } from "./keys.ts";
import { type LiveEvent, liveEvents, type Overview, readOverview } from "./overview.ts";
import { jsonObject, unexpectedAnswer } from "./problem.ts";
import { createQueues, type Queues } from "./queues.ts";
import { createRequester } from "./request.ts";
import { createRuns, type Runs } from "./runs.ts";
import { createScheduleClient, type Schedules } from "./schedules.ts";
import { readSession, type Session } from "./session.ts";
import { readTask, type Task } from "./task.ts";
import { readTaskDefinitions, type TaskDefinitionView } from "./task-definitions.ts";
import { type TaskReference, type TaskSettings, taskRequestJson } from "./task-request.ts";
import { createTasks, type Tasks } from "./tasks.ts";
import { type WaitOptions, waitForEnd } from "./wait.ts";
import { createWorkers, type Workers } from "./workers.ts";

export type ClientOptions = {
  /** `http://127.0.0.1:8080`; it may have a path. */
  readonly baseUrl: string;
  /** Sent with each request. Default: none, for an API that asks for none. */
  readonly apiKey?: string;
  /** Default: that of Node. */
  readonly fetch?: typeof globalThis.fetch;
  /** One try of a request, to the last byte of its answer. Default 10,000 ms. */
  readonly timeoutMs?: number;
  /** How often a request is tried, the first time included. Default 5. */
  readonly maxAttempts?: number;
  readonly clock?: Clock;
  /**
   * Whether a list may be answered with what another caller of the tenant was told within the last two seconds, for one that is repeated all the time, as
   * a page does that stays open. Default false: what this client has just done is seen.
   */
  readonly sharedLooks?: boolean;
};

export type IdempotencyOption = {
  /**
   * 1..255 visible ASCII characters. The same key with the same task gives the same id, for a day. Default: a new one for
   * each call, which guards the repetitions inside this call.
   */
  readonly idempotencyKey?: string;
};

export type EnqueueOptions = TaskSettings & IdempotencyOption;

/** `task` is the name of a task; `input` undefined: none. */
export type BatchEntry = TaskSettings & { readonly task: string; readonly input?: unknown };

/**
 * Every function throws ApiError, whose `code` says what went wrong; and repeats, a bounded number of times, what fails
 * because the API is away, waiting as long as its `Retry-After` says (at most 30 s each time).
 */
export type Client = {
  /**
   * Submits a task. Once this has resolved the task will reach an end, whatever crashes.
   * Throws TaskiqError `not_json` for an input that JSON cannot carry, `request_invalid` for an unusable key.
   */
  enqueue<Schema extends z.ZodType>(
    task: TaskReference<Schema>,
    input: z.input<Schema>,
    options?: EnqueueOptions,
  ): Promise<{ readonly taskId: string }>;
  enqueue(task: string, input?: unknown, options?: EnqueueOptions): Promise<{ readonly taskId: string }>;
  /** Submits up to 1,000 tasks, all or none. The ids stand in the order of the entries. */
  enqueueBatch(
    entries: readonly BatchEntry[],
    options?: IdempotencyOption,
  ): Promise<{ readonly taskIds: readonly string[] }>;
  get(id: string): Promise<Task>;
  /** Waits until the task is finished, also when it failed: look at its `state`. */
  wait(id: string, options?: WaitOptions): Promise<Task>;
  /** Also resolves when the deployment is not healthy. */
  health(): Promise<Health>;
  /** Who the caller is to this deployment, and what its key allows. */
  session(): Promise<Session>;
  /** The tasks that can be submitted, in the order of their names. */
  taskDefinitions(): Promise<readonly TaskDefinitionView[]>;
  /** How the deployment does. */
  overview(): Promise<Overview>;
  /** The same as it goes, every 3 s, until `signal` is aborted. Throws its reason, or what the API could not be reached with for a minute. */
  live(options?: EventOptions): AsyncGenerator<LiveEvent, void>;
  /** Looking at many tasks, following one, cancelling and retrying. */
  readonly tasks: Tasks;
  /** Graphs of steps that are defined in the code of the deployment. */
  readonly jobs: Jobs;
  /** Starting graphs of steps, looking at them, following, cancelling and repeating them. */
  readonly runs: Runs;
  readonly workers: Workers;
  /** Tasks that are made again and again. */
  readonly schedules: Schedules;
  /** API keys, for a caller whose own key has the scope `admin`. */
  readonly keys: Keys;
  readonly queues: Queues;
};

/** Throws TaskiqError `config_invalid` when `baseUrl` is no http or https URL, or `apiKey` cannot stand in a header. Nothing is connected yet. */
export function createClient(options: ClientOptions): Client {
  const { baseUrl, fetch = globalThis.fetch, timeoutMs = 10_000, maxAttempts = 5, clock = systemClock } = options;
  const { apiKey = null, sharedLooks = false } = options;
  const requester = createRequester({ baseUrl, apiKey, fetch, timeoutMs, maxAttempts, clock, sharedLooks });

  async function look(id: string, heldMs: number, signal: AbortSignal | undefined): Promise<Task> {
    const query = heldMs === 0 ? "" : `?wait_seconds=${heldMs / 1_000}`;
    const path = `/v1/tasks/${encodeURIComponent(id)}${query}`;
    const text = await requester.send({ method: "GET", path, heldMs, signal });
    return readTask(text) ?? refuse(text);
  }

  async function create(path: string, body: string, key: string = newKey()): Promise<string> {
    return requester.send({ method: "POST", path, body, idempotencyKey: checkedKey(key) });
  }

  function refuse(text: string): never {
    throw unexpectedAnswer(null, text, baseUrl);
  }

  return {
    async enqueue(task: string | TaskReference<z.ZodType>, input?: unknown, options: EnqueueOptions = {}) {
      const { idempotencyKey, ...settings } = options;
      const body = taskRequestJson(typeof task === "string" ? task : task.name, input, settings);
      const text = await create("/v1/tasks", body, idempotencyKey);
      const taskId = jsonObject(text)?.task_id;
      return typeof taskId === "string" ? { taskId } : refuse(text);
    },

    async enqueueBatch(entries, { idempotencyKey } = {}) {
      if (entries.length === 0) return { taskIds: [] };
      const tasks = entries.map(({ task, input, ...settings }) => taskRequestJson(task, input, settings));
      const text = await create("/v1/tasks/batch", `{"tasks":[${tasks.join(",")}]}`, idempotencyKey);
      const taskIds = jsonObject(text)?.task_ids;
      return Array.isArray(taskIds) && taskIds.length === entries.length ? { taskIds } : refuse(text);
    },

    get: (id) => look(id, 0, undefined),

    wait: (id, waiting = {}) => waitForEnd("task", look, id, waiting, clock),

    async health() {
      const text = await requester.send({ method: "GET", path: "/health", alsoAccept: 503 });
      return readHealth(text) ?? refuse(text);
    },

    session: () => readSession(requester, refuse),
    taskDefinitions: () => readTaskDefinitions(requester, refuse),
    overview: () => readOverview(requester, refuse),
    live: (options = {}) => liveEvents(requester, options, clock),
    tasks: createTasks({ requester, clock, get: (id) => look(id, 0, undefined), refuse }),
    jobs: createJobs(requester, refuse),
    runs: createRuns({ requester, clock, refuse }),
    workers: createWorkers(requester, refuse),
    schedules: createScheduleClient(requester, refuse),

    keys: createKeys(requester, refuse),
    queues: createQueues(requester, clock, refuse),
  };
}
