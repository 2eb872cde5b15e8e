/**
 * Accept tasks: once `submit` has answered, the task reaches a terminal state whatever crashes.
 *
 * Concurrent requests share one statement (group commit). Large input is in S3 before its row exists. Repeating after a lost
 * connection is safe, because the ids are made here, before the first try.
 */

import { createHash } from "node:crypto";
import { v7 as uuidv7 } from "uuid";
import type { Middlewares, SendingTask } from "../define/middleware.ts";
import { wireProblem } from "../define/python-task.ts";
import type { Registry } from "../define/registry.ts";
import type { TaskDefinition } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import { inWords, issuesOf } from "../issues.ts";
import { allowsLimits } from "../model/queue.ts";
import { PRIORITY_TAG, priorityProblem, priorityTagOf, queueTagOf } from "../model/tags.ts";
import type { PolicyOverrides } from "../model/task.ts";
import { encodeJson } from "../payload/json.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import { traceContextOfLabels } from "../tracing/carrier.ts";
import { type CreationSpan, during, NO_TRACING, type Tracing } from "../tracing/tracing.ts";
import { groupKeyOf } from "../wire/group.ts";
import type { Announcer } from "./announce.ts";
import { createBatcher } from "./batch.ts";
import { createLimitBook } from "./limit-book.ts";
import type { SubmitObserver } from "./submit-observer.ts";
import {
  type Answer,
  mismatch,
  nthId,
  type PreparedTask,
  type Submission,
  type Submitted,
  writeSubmissions,
} from "./write-submissions.ts";

export type { Submitted } from "./write-submissions.ts";

/** What a caller asks for. */
export type TaskRequest = {
  readonly task: string;
  readonly input: unknown;
  /** Default: the label `taskiq/queue`, else the definition's. */
  readonly queue?: string | undefined;
  /** From -100 to 100. Default: the label `taskiq/priority`, else the definition's. */
  readonly priority?: number | undefined;
  /** From 0 to the configured `maxDelayMs`. Default 0. */
  readonly delayMs?: number | undefined;
  /** The earliest start as a point in time, instead of a delay; one in the past is now. */
  readonly notBefore?: Date | undefined;
  /** FIFO queues: tasks with equal keys run one after the other, in the order they were submitted. Default: the task's id. */
  readonly orderingKey?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** The trace that it goes on with, as tracing/carrier.ts writes it. Default: what its labels name, else that of the active span. */
  /** What is said otherwise for this task than its definition says, within POLICY_LIMITS. */
  readonly policy?: PolicyOverrides | undefined;
  readonly traceContext?: string | null | undefined;
};

export type SubmitOptions = {
  readonly tenant: string;
  /** Requests with equal keys of one tenant make one submission, for as long as the key lives. */
  readonly idempotencyKey?: string | undefined;
  /** Whether errors name a task by its place, as in `tasks.3.input.key`. Default: when there are several. */
  readonly listed?: boolean | undefined;
};

export type Submitter = {
  /**
   * All of `requests` (1 to 1,000) in one transaction, or none.
   * @throws TaskiqError `unknown_task`, `unknown_queue`, `input_invalid`, `input_not_storable`, `payload_too_large`,
   *   `idempotency_mismatch`, `database_unavailable`, `payload_unavailable`
   */
  submit(requests: readonly TaskRequest[], options: SubmitOptions): Promise<Submitted>;
  /** Throws what `submit` would throw for this request; nothing is written. */
  check(request: TaskRequest): void;
  /** The task as `submit` would write it, for `writeInside`. Throws what `submit` would. */
  prepare(request: TaskRequest, options: { readonly tenant: string; readonly id: string }): Promise<PreparedTask>;
  /** Resolves when every submission taken so far is answered. */
  idle(): Promise<void>;
};

export type SubmitterParts = {
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly announcer: Announcer;
  readonly registry: Registry;
  readonly middlewares: Middlewares;
  readonly queues: QueueSet;
  readonly inlinePayloadBytes: number;
  readonly maxPayloadBytes: number;
  readonly idempotencyTtlMs: number;
  readonly groupCommitMs: number;
  /** Counts what is written. */
  readonly observer?: SubmitObserver | undefined;
  /** Makes a span of each submission. Absent: there are none. */
  readonly tracing?: Tracing;
};

/** Large inputs of one submission on their way to the payload store at the same time. */
const STORED_AT_ONCE = 16;
/** A request whose task, queue and input are in order; `text` is the input's JSON, null for null. */
type CheckedRequest = {
  readonly request: TaskRequest;
  readonly definition: TaskDefinition;
  readonly text: string | null;
};

export function createSubmitter(parts: SubmitterParts): Submitter {
  const { payloads, registry, middlewares, tracing = NO_TRACING } = parts;
  const queueNames = new Set(parts.queues.names);
  const limits = createLimitBook(parts.database);
  const underWay = new Map<string, { requestHash: Buffer; answer: Promise<Submitted> }>();
  const batcher = createBatcher<Submission, Answer>({
    maxItems: 500,
    lingerMs: parts.groupCommitMs,
    maxInFlight: 2,
    run: (submissions) => writeSubmissions(submissions, parts),
  });

  async function submit(requests: readonly TaskRequest[], options: SubmitOptions): Promise<Submitted> {
    const key = options.idempotencyKey ?? null;
    const { tenant } = options;
    if (requests.length === 0) {
      throw new TaskiqError(
        "request_invalid",
        "expected at least one task, got none. Submit 1 to 1,000 tasks at once.",
      );
    }
    const checked = requests.map((request, index) => check(request, index, options.listed ?? requests.length > 1));
    if (key === null) return await accept(checked, tenant, null, null);

    const requestHash = hashOf(requests);
    const name = `${options.tenant}\n${key}`;
    const other = underWay.get(name);
    if (other !== undefined) {
      if (!other.requestHash.equals(requestHash)) throw mismatch(key);
      return { kind: "replayed", ids: (await other.answer).ids };
    }
    const answer = accept(checked, tenant, key, requestHash);
    underWay.set(name, { requestHash, answer });
    try {
      return await answer;
    } finally {
      underWay.delete(name);
    }
  }

  /** Checked before anything is written, so that one bad request of a batch costs nothing. */
  function check(request: TaskRequest, index: number, listed: boolean): CheckedRequest {
    const at = listed ? `tasks.${index}.` : "";
    // First, because it is the one step that takes any value whatever: cycles, bigints, endless nesting.
    const text = encodeInput(request.input, at);
    const definition = registry.get(request.task);
    if (definition === undefined) {
      throw new TaskiqError(
        "unknown_task",
        `${at}task: expected the name of a task, got ${JSON.stringify(request.task)}. Known: ${[...registry.keys()].join(", ")}.`,
        { details: { issues: [{ path: `${at}task`, message: "unknown task" }] } },
      );
    }
    const queue = queueOf(request, definition);
    if (!queueNames.has(queue)) {
      throw new TaskiqError(
        "unknown_queue",
        `${at}queue: expected one of ${[...queueNames].join(", ")}, got ${JSON.stringify(queue)}.`,
        { details: { issues: [{ path: `${at}queue`, message: "unknown queue" }] } },
      );
    }
    const misplaced = wireProblem(definition, queue, parts.queues.options(queue));
    if (misplaced !== null) {
      throw new TaskiqError("request_invalid", `${at}queue: ${misplaced}`, {
        details: { issues: [{ path: `${at}queue`, message: misplaced }] },
      });
    }
    const problem = priorityProblem(request.labels);
    if (problem !== null) {
      const path = `${at}labels.${PRIORITY_TAG}`;
      throw new TaskiqError("request_invalid", `${path}: ${problem}.`, {
        details: { issues: [{ path, message: problem }] },
      });
    }
    if (request.orderingKey !== undefined && parts.queues.options(queue).type !== "fifo") {
      throw new TaskiqError(
        "request_invalid",
        `${at}ordering_key: expected none, as the queue ${queue} is not a FIFO queue. Leave it out or choose a FIFO queue.`,
        { details: { issues: [{ path: `${at}ordering_key`, message: "not a FIFO queue" }] } },
      );
    }
    if (definition.limits.length > 0 && !allowsLimits(parts.queues.options(queue))) {
      throw new TaskiqError(
        "request_invalid",
        `${at}queue: expected a standard queue in the order "named", as ${definition.name} has limits, got ${queue}.`,
        { details: { issues: [{ path: `${at}queue`, message: "a task with limits cannot go to this queue" }] } },
      );
    }
    const checked = definition.input.safeParse(request.input);
    if (!checked.success) {
      const issues = issuesOf(checked.error, listed ? ["tasks", index, "input"] : ["input"]);
      throw new TaskiqError("input_invalid", inWords(issues), { details: { issues } });
    }
    return { request, definition, text };
  }

  async function accept(
    requests: readonly CheckedRequest[],
    tenant: string,
    key: string | null,
    requestHash: Buffer | null,
  ): Promise<Submitted> {
    const owner = uuidv7();
    const span = created(requests, owner);
    return await during(span, () => write(requests, owner, span.traceContext, tenant, key, requestHash));
  }

  /** A batch is one submission, with one span. */
  function created(requests: readonly CheckedRequest[], id: string): CreationSpan {
    const [first] = requests;
    const queues = new Set(requests.map(({ request, definition }) => queueOf(request, definition)));
    const [queue = null] = queues;
    const traceContext = first?.request.traceContext ?? traceContextOfLabels(first?.request.labels);
    const of = queues.size > 1 ? null : queue;
    return tracing.create({ kind: "tasks", of, id, count: requests.length, traceContext });
  }

  async function write(
    requests: readonly CheckedRequest[],
    owner: string,
    traceContext: string | null,
    tenant: string,
    key: string | null,
    requestHash: Buffer | null,
  ): Promise<Submitted> {
    const tasks: PreparedTask[] = [];
    let bytes = 0;
    for (let first = 0; first < requests.length; first += STORED_AT_ONCE) {
      const some = requests.slice(first, first + STORED_AT_ONCE);
      tasks.push(
        ...(await Promise.all(
          some.map((one, index) => prepare(one, nthId(owner, first + index), tenant, traceContext)),
        )),
      );
    }
    for (const { text } of requests) bytes += text?.length ?? 0;
    const answer = await batcher.add({
      tenant,
      tasks,
      key,
      requestHash,
      bytes,
    });
    if (answer instanceof TaskiqError) throw answer;
    if (answer.kind !== "created") return answer;
    for (const { sending } of tasks) parts.observer?.enqueued(sending.queue, sending.name);
    for (const task of tasks) await middlewares.call("postSend", task.sending);
    return answer;
  }

  async function prepare(
    checked: CheckedRequest,
    id: string,
    tenant: string,
    traceContext: string | null,
  ): Promise<PreparedTask> {
    const { request, definition, text } = checked;
    const sending: SendingTask = {
      id,
      name: definition.name,
      queue: queueOf(request, definition),
      tenant,
      labels: { ...request.labels },
      traceContext,
    };
    await middlewares.call("preSend", sending);
    const options = parts.queues.options(sending.queue);
    const bytes = text === null ? 0 : Buffer.byteLength(text);
    if (text !== null) parts.observer?.inputStored(bytes);
    const stored = text !== null && bytes > parts.inlinePayloadBytes;
    return {
      sending,
      policy: request.policy === undefined ? definition.policy : { ...definition.policy, ...request.policy },
      priority: request.priority ?? priorityTagOf(request.labels) ?? definition.priority,
      delayMs: request.delayMs ?? 0,
      notBefore: request.notBefore ?? null,
      inputText: stored ? null : text,
      inputRef: stored ? await payloads.put(id, text) : null,
      // Nothing is serialised by accident: without a key every task is a group of its own.
      group: options.type === "fifo" ? groupKeyOf(tenant, request.orderingKey ?? id) : null,
      byRank: options.order === "priority",
      limits: await limits.of(definition, sending.queue, options, request.input),
    };
  }

  function encodeInput(input: unknown, at: string): string | null {
    if (input === undefined || input === null) return null;
    let text: string;
    try {
      text = encodeJson(input, { maxChars: parts.maxPayloadBytes });
    } catch (cause) {
      if (cause instanceof TaskiqError && cause.code === "payload_too_large") {
        throw new TaskiqError("payload_too_large", `${at}input: ${cause.message}`, { cause });
      }
      const problem = cause instanceof Error ? cause.message : String(cause);
      throw new TaskiqError("input_not_storable", `${at}input: ${problem}`, { cause });
    }
    const bytes = Buffer.byteLength(text);
    if (bytes > parts.maxPayloadBytes) {
      throw new TaskiqError(
        "payload_too_large",
        `${at}input: expected at most ${parts.maxPayloadBytes} bytes, got ${bytes}. Store it in S3 yourself and submit its key.`,
      );
    }
    return text;
  }

  return {
    submit,
    check: (request) => void check(request, 0, false),
    async prepare(request, { tenant, id }) {
      const checked = check(request, 0, false);
      const span = created([checked], id);
      return await during(span, () => prepare(checked, id, tenant, span.traceContext));
    },
    idle: () => batcher.idle(),
  };
}

function queueOf(request: TaskRequest, definition: TaskDefinition): string {
  return request.queue ?? queueTagOf(request.labels) ?? definition.queue;
}

/**
 * Equal for equal requests, whatever the order of their properties and the white space of the body. The trace is left out: every
 * try of a client has one of its own.
 */
function hashOf(requests: readonly TaskRequest[]): Buffer {
  const canonical = requests.map(({ traceContext: _, ...request }) => sorted(request));
  return createHash("sha256").update(encodeJson(canonical)).digest();
}

/** The value with its properties in one order. Recursion is bounded: the inputs were encoded before, which refuses deep ones. */
export function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  if ("toJSON" in value && typeof value.toJSON === "function") return value.toJSON();
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, entry]) => [key, sorted(entry)]));
}
