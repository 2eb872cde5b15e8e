/**
 * Accept tasks: once `submit` has answered, the task reaches a terminal state whatever crashes.
 *
 * Concurrent requests share one statement (group commit). Large input is in S3 before its row exists. Repeating after a lost
 * connection is safe, because the ids are made here, before the first try.
 */

import { createHash } from "node:crypto";
import { v7 as uuidv7 } from "uuid";
import type { Middlewares, SendingTask } from "../define/middleware.ts";
import type { Registry } from "../define/registry.ts";
import type { TaskDefinition } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import { inWords, issuesOf } from "../issues.ts";
import { encodeJson } from "../payload/json.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { isBusyError, isLockTimeout, isValueError } from "../postgres/failure.ts";
import { type Database, isConnectionError, isSerializationError } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Announcer, Doorbell } from "./announce.ts";
import { createBatcher } from "./batch.ts";

/** What a caller asks for. */
export type TaskRequest = {
  readonly task: string;
  readonly input: unknown;
  /** Default: the definition's. */
  readonly queue?: string | undefined;
  /** From -100 to 100. Default: the definition's. */
  readonly priority?: number | undefined;
  /** From 0 to the configured `maxDelayMs`. Default 0. */
  readonly delayMs?: number | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly traceContext?: string | null | undefined;
};

export type SubmitOptions = {
  readonly tenant: string;
  /** Requests with equal keys of one tenant make one submission, for as long as the key lives. */
  readonly idempotencyKey?: string | undefined;
  /** Whether errors name a task by its place, as in `tasks.3.input.key`. Default: when there are several. */
  readonly listed?: boolean | undefined;
};

/** `replayed`: the key was used before with the same requests, and these are the tasks made then. */
export type Submitted = { readonly kind: "created" | "replayed"; readonly ids: readonly string[] };

export type Submitter = {
  /**
   * All of `requests` (1 to 1,000) in one transaction, or none.
   * @throws TaskiqError `unknown_task`, `unknown_queue`, `input_invalid`, `input_not_storable`, `payload_too_large`,
   *   `idempotency_mismatch`, `database_unavailable`, `payload_unavailable`
   */
  submit(requests: readonly TaskRequest[], options: SubmitOptions): Promise<Submitted>;
  /** Resolves when every submission taken so far is answered. */
  idle(): Promise<void>;
};

export type SubmitterParts = {
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly announcer: Announcer;
  readonly registry: Registry;
  readonly middlewares: Middlewares;
  readonly queueNames: readonly string[];
  readonly inlinePayloadBytes: number;
  readonly maxPayloadBytes: number;
  readonly idempotencyTtlMs: number;
  readonly groupCommitMs: number;
};

/** How long the submitter has to ring by itself before the executor loop does. */
const FAST_PATH_MS = 5_000;
/** Large inputs of one submission on their way to the payload store at the same time. */
const STORED_AT_ONCE = 16;
const MAX_TASKS_A_STATEMENT = 1_000;
const MAX_BYTES_A_STATEMENT = 8 * 1024 * 1024;

const SUBMIT = loadSql(import.meta.url, "./submit.sql");
const READ_IDEMPOTENCY = loadSql(import.meta.url, "./read-idempotency.sql");

/** A request whose task, queue and input are in order; `text` is the input's JSON, null for null. */
type CheckedRequest = {
  readonly request: TaskRequest;
  readonly definition: TaskDefinition;
  readonly text: string | null;
};

type PreparedTask = {
  readonly sending: SendingTask;
  readonly definition: TaskDefinition;
  readonly priority: number;
  readonly delayMs: number;
  readonly inputText: string | null;
  readonly inputRef: string | null;
};

type Submission = {
  readonly tenant: string;
  readonly tasks: readonly PreparedTask[];
  readonly key: string | null;
  readonly requestHash: Buffer | null;
  readonly bytes: number;
};

type CreatedRow = { id: string; outbox_id: number; due: boolean };
type KeyRow = { namespace: string; key: string; request_hash: Buffer; task_id: string };
type Answer = Submitted | TaskiqError;

export function createSubmitter(parts: SubmitterParts): Submitter {
  const { database, payloads, announcer, registry, middlewares } = parts;
  const queueNames = new Set(parts.queueNames);
  const underWay = new Map<string, { requestHash: Buffer; answer: Promise<Submitted> }>();
  const batcher = createBatcher<Submission, Answer>({
    maxItems: 500,
    lingerMs: parts.groupCommitMs,
    maxInFlight: 2,
    run: writeAll,
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
    const queue = request.queue ?? definition.queue;
    if (!queueNames.has(queue)) {
      throw new TaskiqError(
        "unknown_queue",
        `${at}queue: expected one of ${[...queueNames].join(", ")}, got ${JSON.stringify(queue)}.`,
        { details: { issues: [{ path: `${at}queue`, message: "unknown queue" }] } },
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
    const tasks: PreparedTask[] = [];
    let bytes = 0;
    for (let first = 0; first < requests.length; first += STORED_AT_ONCE) {
      const some = requests.slice(first, first + STORED_AT_ONCE);
      tasks.push(...(await Promise.all(some.map((one, index) => prepare(one, nthId(owner, first + index), tenant)))));
    }
    for (const { text } of requests) bytes += text?.length ?? 0;
    const answer = await batcher.add({
      tenant,
      tasks,
      key,
      requestHash,
      bytes: Math.min(bytes, MAX_BYTES_A_STATEMENT),
    });
    if (answer instanceof TaskiqError) throw answer;
    if (answer.kind === "created") for (const task of tasks) await middlewares.call("postSend", task.sending);
    return answer;
  }

  async function prepare(checked: CheckedRequest, id: string, tenant: string): Promise<PreparedTask> {
    const { request, definition, text } = checked;
    const sending: SendingTask = {
      id,
      name: definition.name,
      queue: request.queue ?? definition.queue,
      tenant,
      labels: { ...request.labels },
      traceContext: request.traceContext ?? null,
    };
    await middlewares.call("preSend", sending);
    const stored = text !== null && Buffer.byteLength(text) > parts.inlinePayloadBytes;
    return {
      sending,
      definition,
      priority: request.priority ?? definition.priority,
      delayMs: request.delayMs ?? 0,
      inputText: stored ? null : text,
      inputRef: stored ? await payloads.put(id, text) : null,
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

  async function writeAll(submissions: readonly Submission[]): Promise<Answer[]> {
    const answers = await Promise.all(statements(submissions).map(write));
    return answers.flat();
  }

  /** One statement. Where a value of one submission breaks it, each is written by itself and only the culprit is refused. */
  async function write(submissions: readonly Submission[]): Promise<Answer[]> {
    try {
      return await writeTogether(submissions);
    } catch (error) {
      const apart = isValueError(error) || isLockTimeout(error);
      if (apart && submissions.length > 1) return (await Promise.all(submissions.map((one) => write([one])))).flat();
      if (isConnectionError(error) || isBusyError(error)) return submissions.map(() => unavailable(error));
      if (!isValueError(error)) throw error;
      return [
        new TaskiqError(
          "input_not_storable",
          `expected values that Postgres can store, got: ${error instanceof Error ? error.message : String(error)}. Change the input.`,
          { cause: error },
        ),
      ];
    }
  }

  async function writeTogether(submissions: readonly Submission[]): Promise<Answer[]> {
    const { rows, repeated } = await insert(parametersOf(submissions, parts.idempotencyTtlMs));
    const created = new Map(rows.map((row) => [row.id, row]));
    const losers = submissions.filter((submission) => !created.has(ownerOf(submission)) && submission.key !== null);
    const keys = losers.length === 0 ? new Map<string, KeyRow>() : await readKeys(losers).catch(() => null);
    announcer.ring(submissions.flatMap((submission) => doorbellsOf(submission, created)));
    return submissions.map((submission) => {
      const owner = ownerOf(submission);
      const ids = submission.tasks.map((task) => task.sending.id);
      if (created.has(owner)) return { kind: "created", ids };
      if (submission.key === null) {
        // Only a repeated statement meets its own rows: the first one was committed and its answer lost.
        if (repeated) return { kind: "created", ids };
        return new TaskiqError("internal", `Task ${owner}: expected a new id, a row has it already. Submit again.`);
      }
      const held = keys?.get(`${submission.tenant}\n${submission.key}`);
      if (held === undefined)
        return unavailable(new Error("the idempotency key could not be read, or expired meanwhile"));
      if (held.task_id === owner) return { kind: "created", ids };
      if (submission.requestHash === null || !held.request_hash.equals(submission.requestHash)) {
        return mismatch(submission.key);
      }
      return { kind: "replayed", ids: submission.tasks.map((_, index) => nthId(held.task_id, index)) };
    });
  }

  /** Repeats once after a lost connection or a deadlock: the ids are the same, so what was committed is not made twice. */
  async function insert(parameters: readonly unknown[]): Promise<{ rows: CreatedRow[]; repeated: boolean }> {
    try {
      return { rows: await database.query<CreatedRow>(SUBMIT, parameters), repeated: false };
    } catch (error) {
      if (!isConnectionError(error) && !isSerializationError(error)) throw error;
      return { rows: await database.query<CreatedRow>(SUBMIT, parameters), repeated: true };
    }
  }

  async function readKeys(losers: readonly Submission[]): Promise<Map<string, KeyRow>> {
    const rows = await database.query<KeyRow>(READ_IDEMPOTENCY, [
      losers.map((loser) => loser.tenant),
      losers.map((loser) => loser.key),
    ]);
    return new Map(rows.map((row) => [`${row.namespace}\n${row.key}`, row]));
  }

  return { submit, idle: () => batcher.idle() };
}

/**
 * The id of the n-th task of a submission: the owner's with `index` added to its random end, so that a replay can name all
 * tasks from the one id that the idempotency key holds.
 */
export function nthId(owner: string, index: number): string {
  if (index === 0) return owner;
  const tail = (Number.parseInt(owner.slice(24), 16) + index) % 2 ** 48;
  return owner.slice(0, 24) + tail.toString(16).padStart(12, "0");
}

function ownerOf(submission: Submission): string {
  return (submission.tasks[0] as PreparedTask).sending.id; // A submission has at least one task.
}

/** Splits by the size of one statement; a submission is never split. */
function statements(submissions: readonly Submission[]): Submission[][] {
  const result: Submission[][] = [];
  let tasks = 0;
  let bytes = 0;
  for (const submission of submissions) {
    const last = result.at(-1);
    tasks += submission.tasks.length;
    bytes += submission.bytes;
    if (last !== undefined && tasks <= MAX_TASKS_A_STATEMENT && bytes <= MAX_BYTES_A_STATEMENT) {
      last.push(submission);
    } else {
      result.push([submission]);
      tasks = submission.tasks.length;
      bytes = submission.bytes;
    }
  }
  return result;
}

function doorbellsOf(submission: Submission, created: ReadonlyMap<string, CreatedRow>): Doorbell[] {
  return submission.tasks.flatMap(({ sending }) => {
    const row = created.get(sending.id);
    if (row === undefined || !row.due) return [];
    return [{ outboxId: row.outbox_id, id: sending.id, name: sending.name, queue: sending.queue }];
  });
}

function parametersOf(submissions: readonly Submission[], idempotencyTtlMs: number): unknown[] {
  const tasks = submissions.flatMap((submission) =>
    submission.tasks.map((task, index) => ({ task, submission, first: index === 0 })),
  );
  const column = <Value>(value: (entry: (typeof tasks)[number]) => Value): Value[] => tasks.map(value);
  const policy = <Name extends keyof TaskDefinition["policy"]>(name: Name) =>
    column(({ task }) => task.definition.policy[name]);
  return [
    column(({ task }) => task.sending.id),
    column(() => null),
    column(({ task }) => task.sending.name),
    column(({ task }) => task.sending.queue),
    column(({ task }) => task.sending.tenant),
    column(({ task }) => task.priority),
    column(({ task }) => task.delayMs),
    column(() => null),
    column(({ task }) => labelsText(task.sending.labels)),
    column(({ task }) => task.sending.traceContext),
    column(({ task }) => task.inputText),
    column(({ task }) => task.inputRef),
    column(() => null),
    policy("timeoutMs"),
    policy("graceMs"),
    policy("maxAttempts"),
    policy("backoffMs"),
    policy("maxBackoffMs"),
    policy("maxLosses"),
    policy("isolation"),
    policy("onLost"),
    column(({ submission }) => ownerOf(submission)),
    column(({ submission, first }) => (first ? submission.key : null)),
    column(({ submission, first }) => (first ? submission.requestHash : null)),
    idempotencyTtlMs,
    FAST_PATH_MS,
  ];
}

function labelsText(labels: Readonly<Record<string, string>>): string | null {
  for (const _ in labels) return JSON.stringify(labels);
  return null;
}

/**
 * Equal for equal requests, whatever the order of their properties and the white space of the body. The trace is left out: every
 * try of a client has one of its own.
 */
function hashOf(requests: readonly TaskRequest[]): Buffer {
  const canonical = requests.map(({ traceContext: _, ...request }) => sorted(request));
  return createHash("sha256").update(encodeJson(canonical)).digest();
}

/** Recursion is bounded: the inputs were encoded before, which refuses deep ones. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  if ("toJSON" in value && typeof value.toJSON === "function") return value.toJSON();
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, entry]) => [key, sorted(entry)]));
}

function mismatch(key: string): TaskiqError {
  return new TaskiqError(
    "idempotency_mismatch",
    `Idempotency-Key ${JSON.stringify(key)}: expected the body it was first used with, got another one. Use a new key for a new request.`,
  );
}

function unavailable(cause: unknown): TaskiqError {
  return new TaskiqError(
    "database_unavailable",
    "expected the database to accept the task, it cannot be reached. Repeat the request, with the same Idempotency-Key if it has one.",
    { cause },
  );
}
