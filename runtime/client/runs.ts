/** Runs over HTTP: starting graphs of steps, looking at them, following them, and telling them what to do. */
import type { Clock } from "../clock.ts";
import type { Graph, RunMode } from "../model/graph.ts";
import type { RunState } from "../model/run.ts";
import type { TaskState } from "../model/task.ts";
import { ApiError } from "./api-error.ts";
import type { EventOptions } from "./event-stream.ts";
import { checkedKey, newKey } from "./idempotency-key.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";
import { type Run, type RunStep, type RunSummary, readRun, readRunSummary, readSteps } from "./run.ts";
import { type RunEvent, runEvents } from "./run-events.ts";
import { inputJson, type JsonText } from "./task-request.ts";
import { type WaitOptions, waitForEnd } from "./wait.ts";

type RunSettings = {
  /** What `$input` in the graph refers to. Undefined: none. */
  readonly input?: unknown;
  /** Default: that of the job, else `orchestrated`. */
  readonly mode?: RunMode;
  /** -100..100, added to that of each step. Default: that of the job, else 0. */
  readonly priority?: number;
  /** At most 50; names to 200 characters, values to 1,000. */
  readonly labels?: Readonly<Record<string, string>>;
};

/** `job`: the name of one that the deployment knows, or a definition. `graph`: also as the JSON text of one. */
export type NewRun = RunSettings &
  (
    | { readonly job: string | { readonly name: string }; readonly graph?: never }
    | { readonly graph: Graph | JsonText; readonly job?: never }
  );

export type RunFilter = {
  readonly states?: readonly RunState[];
  readonly job?: string;
  /** At most 10; all have to match. A name has no `=`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Accepted at this time or later. */
  readonly createdAfter?: Date;
  /** Accepted earlier than this. */
  readonly createdBefore?: Date;
};

export type RunPage = {
  readonly runs: readonly RunSummary[];
  /** Where the next page starts; null: this was the last one. A page may be empty and not the last. */
  readonly nextCursor: string | null;
};

export type StepPageOptions = {
  /** The key of a mapped step: its elements, which are not among the other steps. */
  readonly of?: string;
  readonly states?: readonly TaskState[];
  /** 1 to 1,000. Default 100. */
  readonly limit?: number;
  readonly cursor?: string;
  readonly signal?: AbortSignal;
};

export type StepPage = { readonly steps: readonly RunStep[]; readonly nextCursor: string | null };

/**
 * `from_failure`: what failed, was cancelled or never ran; the other results are kept. `all`: everything. Or keys of steps, of which `load*` is
 * `load` and all that comes after it.
 */
export type StepChoice = "from_failure" | "all" | readonly string[];

export type RunWaitOptions = WaitOptions<Run> & {
  /** How many steps the run comes with, 0 to 1,000. Default 1,000. */
  readonly steps?: number;
};

export type Runs = {
  /**
   * Starts a run. Once this has resolved the run will reach an end, whatever crashes. `idempotencyKey`: the same key with the same request gives the
   * same run, for a day; default: a new one for each call. Throws ApiError `graph_invalid` with the issues, which name the steps.
   */
  start(run: NewRun, options?: { readonly idempotencyKey?: string }): Promise<{ readonly runId: string }>;
  /** `steps`: how many it comes with, 0 to 1,000, the default. Throws ApiError `run_not_found`. */
  get(id: string, options?: { readonly steps?: number }): Promise<Run>;
  /** All runs that match, newest first. Runs that are started meanwhile are not among them. */
  list(filter?: RunFilter, options?: { readonly signal?: AbortSignal }): AsyncGenerator<RunSummary, void>;
  /** One page of them. */
  page(
    filter?: RunFilter,
    options?: { readonly limit?: number; readonly cursor?: string; readonly signal?: AbortSignal },
  ): Promise<RunPage>;
  /** Steps in the order of the graph, page by page. */
  steps(id: string, options?: Omit<StepPageOptions, "limit" | "cursor">): AsyncGenerator<RunStep, void>;
  /** One page of them. */
  stepPage(id: string, options?: StepPageOptions): Promise<StepPage>;
  /** The graph as it was posted, and the edges that follow from it. */
  graph(id: string): Promise<{
    readonly graph: Graph;
    readonly edges: readonly { readonly parent: string; readonly child: string }[];
  }>;
  /**
   * What happens in a run, from its beginning to its end. Goes on by itself after a broken connection; no step's event comes twice.
   * Throws ApiError `run_not_found`, or what the API could not be reached with for a minute; or the reason of `signal`.
   */
  watch(id: string, options?: EventOptions): AsyncGenerator<RunEvent, void>;
  /** Waits until the run is finished, also when it failed: look at its `state`. */
  wait(id: string, options?: RunWaitOptions): Promise<Run>;
  /**
   * Resolves with `cancelled`, or `running` while steps are being stopped. One that is cancelled already is not an error.
   * Throws ApiError `run_finished` when it ended otherwise, `run_not_found`.
   */
  cancel(id: string, options?: { readonly reason?: string }): Promise<{ readonly state: RunState }>;
  /** Rings again for steps that wait to be claimed, and resolves with how many these are. */
  resume(id: string): Promise<{ readonly state: RunState; readonly rung: number }>;
  /** Starts a new run of the same graph and input. Throws ApiError `run_not_finished`, `run_not_found`. */
  reexecute(
    id: string,
    options: { readonly steps: StepChoice; readonly idempotencyKey?: string },
  ): Promise<{ readonly runId: string }>;
};

export type RunsParts = {
  readonly requester: Requester;
  readonly clock: Clock;
  /** Throws the error of an answer that this API cannot have given. */
  readonly refuse: (text: string) => never;
};

const PAGE = 200;
const STEP_PAGE = 1_000;

export function createRuns({ requester, clock, refuse }: RunsParts): Runs {
  const pathOf = (id: string, rest = "") => `/v1/runs/${encodeURIComponent(id)}${rest}`;

  async function look(id: string, steps: number | undefined, heldMs: number, signal: AbortSignal | undefined) {
    const query = new URLSearchParams();
    if (heldMs > 0) query.append("wait_seconds", String(heldMs / 1_000));
    if (steps !== undefined) query.append("steps", String(steps));
    const text = await requester.send({ method: "GET", path: pathOf(id, suffix(query)), heldMs, signal });
    return readRun(text) ?? refuse(text);
  }

  async function create(path: string, body: string, key: string = newKey()): Promise<{ runId: string }> {
    const text = await requester.send({ method: "POST", path, body, idempotencyKey: checkedKey(key) });
    const runId = jsonObject(text)?.run_id;
    return typeof runId === "string" ? { runId } : refuse(text);
  }

  async function page(filter: RunFilter = {}, { limit, cursor, signal }: Parameters<Runs["page"]>[1] = {}) {
    const query = queryOf(filter);
    if (limit !== undefined) query.append("limit", String(limit));
    if (cursor !== undefined) query.append("cursor", cursor);
    const text = await requester.send({ method: "GET", path: `/v1/runs${suffix(query)}`, signal });
    const answer = jsonObject(text);
    if (!Array.isArray(answer?.runs)) return refuse(text);
    const nextCursor = typeof answer.next_cursor === "string" ? answer.next_cursor : null;
    return { runs: answer.runs.map((run) => readRunSummary(run) ?? refuse(text)), nextCursor };
  }

  async function stepPage(id: string, { of, states, limit, cursor, signal }: StepPageOptions = {}): Promise<StepPage> {
    const query = new URLSearchParams();
    if (of !== undefined) query.append("of", of);
    for (const state of states ?? []) query.append("state", state);
    if (limit !== undefined) query.append("limit", String(limit));
    if (cursor !== undefined) query.append("cursor", cursor);
    const text = await requester.send({ method: "GET", path: pathOf(id, `/steps${suffix(query)}`), signal });
    const answer = jsonObject(text);
    const nextCursor = typeof answer?.next_cursor === "string" ? answer.next_cursor : null;
    return { steps: readSteps(answer?.steps) ?? refuse(text), nextCursor };
  }

  return {
    start: (run, { idempotencyKey } = {}) => create("/v1/runs", runJson(run), idempotencyKey),
    get: (id, { steps } = {}) => look(id, steps, 0, undefined),
    page,
    async *list(filter, { signal } = {}) {
      for (let cursor: string | null | undefined; cursor !== null; ) {
        const found: RunPage = await page(filter, {
          limit: PAGE,
          ...(cursor !== undefined && { cursor }),
          ...(signal !== undefined && { signal }),
        });
        yield* found.runs;
        cursor = found.nextCursor;
      }
    },
    stepPage,
    async *steps(id, options = {}) {
      for (let cursor: string | null | undefined; cursor !== null; ) {
        const found = await stepPage(id, { ...options, limit: STEP_PAGE, ...(cursor !== undefined && { cursor }) });
        yield* found.steps;
        cursor = found.nextCursor;
      }
    },
    async graph(id) {
      const text = await requester.send({ method: "GET", path: pathOf(id, "/graph") });
      const answer = jsonObject(text);
      if (typeof answer?.graph !== "object" || !Array.isArray(answer.edges)) return refuse(text);
      // It was checked when the run was started.
      return { graph: answer.graph as Graph, edges: answer.edges };
    },
    watch: (id, options = {}) => runEvents(requester, id, options, clock),
    wait: (id, { steps, ...waiting } = {}) =>
      waitForEnd("run", (one, heldMs, signal) => look(one, steps, heldMs, signal), id, waiting, clock),
    async cancel(id, body = {}) {
      try {
        const text = await requester.send({ method: "POST", path: pathOf(id, "/cancel"), body: JSON.stringify(body) });
        const state = jsonObject(text)?.state;
        // A state, as the API documents it.
        return typeof state === "string" ? { state: state as RunState } : refuse(text);
      } catch (error) {
        // Whoever has cancelled it, it is cancelled: this may be the repetition of a request whose answer got lost.
        if (!(error instanceof ApiError) || error.code !== "run_finished") throw error;
        const { state } = await look(id, 0, 0, undefined);
        if (state === "cancelled") return { state };
        throw error;
      }
    },
    async resume(id) {
      const text = await requester.send({ method: "POST", path: pathOf(id, "/resume"), body: "{}" });
      const answer = jsonObject(text);
      if (typeof answer?.state !== "string" || typeof answer.rung !== "number") return refuse(text);
      return { state: answer.state as RunState, rung: answer.rung }; // As the API documents it.
    },
    reexecute: (id, { steps, idempotencyKey }) =>
      create(pathOf(id, "/reexecute"), JSON.stringify({ steps }), idempotencyKey),
  };
}

/** The input as its own text: it may hold numbers that JavaScript would round, which the API then refuses by their path. */
function runJson({ job, graph, input, mode, priority, labels }: NewRun): string {
  const members = {
    job: JSON.stringify(typeof job === "object" ? job.name : job),
    graph: inputJson(graph),
    input: inputJson(input),
    mode: JSON.stringify(mode),
    priority: JSON.stringify(priority),
    labels: JSON.stringify(labels),
  };
  const present = Object.entries(members).filter(([, json]) => json !== undefined);
  return `{${present.map(([name, json]) => `"${name}":${json}`).join(",")}}`;
}

function queryOf({ states = [], job, labels = {}, createdAfter, createdBefore }: RunFilter): URLSearchParams {
  const query = new URLSearchParams();
  for (const state of states) query.append("state", state);
  if (job !== undefined) query.append("job", job);
  for (const [name, value] of Object.entries(labels)) query.append("label", `${name}=${value}`);
  if (createdAfter !== undefined) query.append("created_after", createdAfter.toISOString());
  if (createdBefore !== undefined) query.append("created_before", createdBefore.toISOString());
  return query;
}

function suffix(query: URLSearchParams): string {
  return query.size === 0 ? "" : `?${query}`;
}
