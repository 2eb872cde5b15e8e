/** The API on a database and queues of its own, with a few small tasks. No worker runs: a test moves the rows itself. */
import { z } from "zod";
import { type Api, type ApiParts, createApi } from "../../runtime/api/server.ts";
import { systemClock } from "../../runtime/clock.ts";
import { defineTask } from "../../runtime/define/index.ts";
import { chainMiddlewares } from "../../runtime/define/middleware.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import { createSubmitter } from "../../runtime/flow/submit.ts";
import { openLog } from "../../runtime/log.ts";
import { openPayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { openQueues } from "../../runtime/queue/sqs.ts";
import { sleep } from "../../runtime/tasks/sleep.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

const echo = defineTask({ name: "echo", input: z.unknown(), run: (input) => input });
const strict = defineTask({
  name: "strict",
  input: z.strictObject({ name: z.string(), list: z.array(z.int()).default([]) }),
  run: (input) => input,
});
/** Its schema calls itself for each level of the input. */
const recursive = defineTask({ name: "recursive", input: z.json(), run: (input) => input });

/** Its schema runs out of stack, whatever comes. */
const endless = defineTask({
  name: "endless",
  input: z.unknown().refine(function follow(input): boolean {
    return follow([input]);
  }),
  run: (input) => input,
});

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly body: Body;
};

/** Whatever came; a test looks at what it expects. */
type Body = {
  readonly [name: string]: unknown;
  readonly task_id: string;
  readonly task_ids: string[];
  readonly issues: { path: string; message: string }[];
};

export type TestApi = Api & {
  readonly database: Database;
  /** The ids that were asked for by each poll for those who wait. */
  readonly polls: readonly string[][];
  /** Events logged as lines of JSON. */
  readonly lines: string[];
  get(url: string, headers?: Record<string, string>): Promise<Answer>;
  /** Sends a value as JSON; a text or bytes as they are. */
  post(url: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
};

export type Place = { readonly databaseUrl: string; readonly aws: TestAws };

export type PlaceKept = Place & { drop(): Promise<void> };

export async function createPlace(): Promise<PlaceKept> {
  const [database, aws]: [TestDatabase, TestAws] = await Promise.all([createTestDatabase(), startTestAws()]);
  return {
    databaseUrl: database.url,
    aws,
    async drop() {
      await aws.stop();
      await database.drop();
    },
  };
}

export type TestApiOptions = {
  readonly limits?: Partial<ApiParts["limits"]>;
  readonly inlinePayloadBytes?: number;
  /** Over the place's own. */
  readonly databaseUrl?: string;
  readonly parts?: Partial<ApiParts>;
  /** Stands between the API and its database. */
  readonly tap?: (database: Database) => Database;
  readonly runs?: Partial<NonNullable<ApiParts["runs"]>>;
};

/** For tests that start none. */
const NO_RUNS: NonNullable<ApiParts["runs"]>["submitter"] = {
  submit: () => Promise.reject(new Error("expected no run to be started")),
  reexecute: () => Promise.reject(new Error("expected no run to be started")),
  idle: async () => {},
};

/** Opens one process's worth of it; several can share a place. */
export async function openTestApi({ databaseUrl, aws }: Place, options: TestApiOptions = {}): Promise<TestApi> {
  const lines: string[] = [];
  const log = openLog({ level: "info", format: "json", service: "api", write: (line) => lines.push(line) });
  const limits = {
    maxBodyBytes: 1_048_576,
    maxPayloadBytes: 10_000_000,
    maxDelayMs: 31_536_000_000,
    ...options.limits,
  };
  const database = openDatabase({
    connectionString: options.databaseUrl ?? databaseUrl,
    max: 5,
    applicationName: "api test",
    onError: () => {},
  });
  const address = { region: aws.region, endpoint: aws.endpoint, credentials: aws.credentials };
  const queues = openQueues({
    ...address,
    queues: [{ name: "default", url: aws.queueUrl("default"), deadLetterUrl: aws.deadLetterUrl("default") }],
  });
  const payloads = openPayloadStore({ ...address, bucket: aws.bucket, maxBytes: limits.maxPayloadBytes });
  const announcer = createAnnouncer({ database, queues, payloads, log });
  const registry = createRegistry([echo, strict, recursive, endless, sleep]);
  const submitter = createSubmitter({
    database,
    payloads,
    announcer,
    registry,
    middlewares: chainMiddlewares([], log),
    queues,
    inlinePayloadBytes: options.inlinePayloadBytes ?? 65_536,
    maxPayloadBytes: limits.maxPayloadBytes,
    idempotencyTtlMs: 86_400_000,
    groupCommitMs: 2,
  });
  const polls: string[][] = [];
  const watched: Database = {
    ...database,
    query: (statement, params) => {
      // Its one parameter.
      if (statement.name === "read-finished") polls.push(params[0] as string[]);
      return database.query(statement, params);
    },
  };
  const parts: ApiParts = {
    submitter,
    runs: { submitter: options.runs?.submitter ?? NO_RUNS, jobs: options.runs?.jobs ?? new Map() },
    registry,
    database: options.tap?.(watched) ?? watched,
    payloads,
    queues,
    log,
    clock: systemClock,
    limits,
    workerAliveMs: 30_000,
    version: "1.2.3",
    demo: true,
    logsUrl: null,
    pagesFolder: "/nonexistent",
    access: { auth: "none", environment: "test" },
  };
  const api = await createApi({ ...parts, ...options.parts });

  async function ask(method: "GET" | "POST", url: string, headers: Record<string, string>, payload?: string | Buffer) {
    const response = await api.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
    const isJson = String(response.headers["content-type"]).includes("json");
    // A test that looks into the body of what is no JSON finds nothing.
    const body = (isJson ? response.json() : {}) as Body;
    return { status: response.statusCode, headers: response.headers, text: response.body, body };
  }

  return {
    ...api,
    database,
    polls,
    lines,
    get: (url, headers = {}) => ask("GET", url, headers),
    post: (url, body, headers = {}) => {
      const payload = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
      return ask("POST", url, { "content-type": "application/json", ...headers }, payload);
    },
    async close() {
      await api.close();
      await submitter.idle();
      await announcer.idle();
      await database.close();
      queues.close();
      payloads.close();
    },
  };
}
