/** `/v1/runs`: start one, list them, look at one, its steps and its graph. */
import { z } from "zod";
import { audit } from "../access/audit.ts";
import type { Clock } from "../clock.ts";
import type { JobRegistry } from "../define/job.ts";
import { taskNamesOf } from "../flow/job-run.ts";
import type { RunSubmitter } from "../flow/runs.ts";
import { RUN_STATES } from "../model/run.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { callerOf, requireTaskScopes } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { listRuns } from "./run-list.ts";
import { type RunOutlines, readGraphText } from "./run-outline.ts";
import { findRun, RUN_PARAMS, type RunReader, runNotFound } from "./run-reader.ts";
import { RUN_BODY, runRequestOf } from "./run-request.ts";
import { STEP, stepText } from "./run-step-view.ts";
import { listSteps } from "./run-steps.ts";
import { RUN_SUMMARY, runSchema, runSummaryText } from "./run-view.ts";
import { IDEMPOTENCY_HEADERS, refusingDeepInput } from "./submission.ts";
import { FILTER_SHAPE, filterOf, NAME, STATES } from "./task-filter.ts";
import { decodeCursor, encodeCursor } from "./task-position.ts";
import { requestInvalid } from "./validation.ts";

export type RunRouteParts = {
  readonly submitter: RunSubmitter;
  readonly jobs: JobRegistry;
  readonly reader: RunReader;
  readonly outlines: RunOutlines;
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
};

const TAGS = ["runs"];
const MAX_STEPS = 1_000;
const MAX_RUNS = 200;
const MAX_WAIT_SECONDS = 60;
/** Ten thousand steps with their inputs. */
const MAX_GRAPH_BYTES = 16 * 1_048_576;

export const RUN_ACCEPTED = answer(
  "Accepted: the run will reach an end, whatever crashes. `Location` is where to look at it.",
  z.object({ run_id: z.uuid(), state: z.literal("running") }),
);

/** The state is that of the moment it was accepted, also for a repeated request. */
export function runAcceptedText(runId: string): string {
  return `{"run_id":"${runId}","state":"running"}`;
}

const RUN_QUERY = z.strictObject({
  wait_seconds: z.coerce.number().min(0).max(MAX_WAIT_SECONDS).default(0).register(DOCS, {
    description: "Holds the answer back until the run is over, at most this long. Default 0.",
  }),
  steps: z.coerce
    .number()
    .pipe(z.int().min(0).max(MAX_STEPS))
    .default(MAX_STEPS)
    .register(DOCS, { description: `How many steps are in the answer at most. Default ${MAX_STEPS}.` }),
});

const STEP_QUERY = z.strictObject({
  of: z.string().min(1).max(100).optional().register(DOCS, {
    description: "The key of a mapped step: lists its elements, which are not in the list of steps.",
  }),
  state: STATES.optional().register(DOCS, { description: "One state, or several with commas: `failed,cancelled`." }),
  limit: z.coerce
    .number()
    .pipe(z.int().min(1).max(MAX_STEPS))
    .default(100)
    .register(DOCS, { description: "Steps on one page. Default 100." }),
  cursor: z.string().max(20).optional().register(DOCS, {
    description: "`next_cursor` of the page before with the same filter, or `steps_cursor` of the run.",
  }),
});

const RUN_STATE_LIST = z
  .union([z.string().max(200), z.array(z.string().max(200)).max(20)])
  .transform((given) => [given].flat().flatMap((text) => text.split(",")))
  .pipe(z.array(z.enum(RUN_STATES)).min(1));

const LIST_QUERY = z.strictObject({
  state: RUN_STATE_LIST.optional().register(DOCS, {
    description: "One state, or several with commas: `failed,cancelled`.",
  }),
  job: NAME.optional().register(DOCS, { description: "The name of the job." }),
  label: FILTER_SHAPE.label,
  created_after: FILTER_SHAPE.created_after,
  created_before: FILTER_SHAPE.created_before,
  limit: z.coerce
    .number()
    .pipe(z.int().min(1).max(MAX_RUNS))
    .default(50)
    .register(DOCS, { description: "Runs on one page. Default 50." }),
  cursor: z
    .string()
    .max(200)
    .optional()
    .register(DOCS, { description: "`next_cursor` of the page before, with the same filter." }),
});

const NEXT_CURSOR = z
  .string()
  .nullable()
  .register(DOCS, { description: "Where the next page starts; null: this was the last one." });
const EDGE = z.object({ parent: z.string(), child: z.string() });
const LOOK_PROBLEMS = ["run_not_found", "request_invalid", "database_unavailable"] as const;
const PAYLOAD_PROBLEMS = ["payload_unavailable", "payload_missing"] as const;

export function runRoutes(app: App, parts: RunRouteParts): void {
  const { submitter, jobs, reader, outlines, database, payloads, clock } = parts;

  app.post(
    "/v1/runs",
    {
      bodyLimit: Math.max(parts.maxBodyBytes, MAX_GRAPH_BYTES),
      config: { scope: "enqueue" },
      schema: {
        operationId: "startRun",
        summary: "Start a run of a job or of a graph",
        description: "A graph that cannot be run is refused as a whole; the issues name the steps by their keys.",
        tags: TAGS,
        headers: IDEMPOTENCY_HEADERS,
        body: RUN_BODY,
        response: {
          202: RUN_ACCEPTED,
          ...problems(
            "not_json_body",
            "body_too_large",
            "payload_too_large",
            "unsupported_media_type",
            "request_invalid",
            "graph_invalid",
            "unknown_job",
            "unknown_task",
            "unknown_queue",
            "input_invalid",
            "input_not_storable",
            "idempotency_mismatch",
            "database_unavailable",
            "payload_unavailable",
          ),
        },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const { kind, runId } = await refusingDeepInput(async () => {
        const wanted = { ...runRequestOf(request.body, jobs), traceContext: request.traceContext };
        requireTaskScopes(caller, taskNamesOf(wanted.graph));
        const idempotencyKey = request.headers["idempotency-key"];
        const accepted = await submitter.submit(wanted, { tenant: caller.tenant, idempotencyKey });
        if (accepted.kind === "created") {
          const detail = { job: wanted.job, mode: wanted.mode, steps: wanted.graph.steps.length };
          await audit(database, caller, "run.create", accepted.runId, detail);
        }
        return accepted;
      });
      if (kind === "replayed") reply.header("idempotency-replayed", "true");
      return reply
        .code(202)
        .header("location", `/v1/runs/${runId}`)
        .type("application/json")
        .send(runAcceptedText(runId));
    },
  );

  app.get(
    "/v1/runs",
    {
      config: { scope: "read", shared: true },
      schema: {
        operationId: "listRuns",
        summary: "List runs, newest first",
        description:
          "A page looks at a bounded number of runs, so with a filter that few of them match it may be short, or even empty, and still have " +
          "a `next_cursor`: go on until that is null. Runs that are started meanwhile neither appear twice nor shift a page.",
        tags: TAGS,
        querystring: LIST_QUERY,
        response: {
          200: answer("A page.", z.object({ runs: z.array(RUN_SUMMARY), next_cursor: NEXT_CURSOR })),
          ...problems("request_invalid", "database_unavailable"),
        },
      },
    },
    async (request, reply) => {
      const { limit, cursor, state, job, ...given } = request.query;
      const position = cursor === undefined ? null : (decodeCursor(cursor) ?? refuseCursor());
      const filter = { ...filterOf(given), states: state === undefined ? null : [...new Set(state)], job: job ?? null };
      const { tenant } = callerOf(request);
      const { rows, next } = await listRuns(database, { tenant, filter, position, limit, clock });
      const nextCursor = next === null ? "null" : `"${encodeCursor(next)}"`;
      return reply
        .type("application/json")
        .send(`{"runs":[${rows.map(runSummaryText).join(",")}],"next_cursor":${nextCursor}}`);
    },
  );

  app.get(
    "/v1/runs/:id",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getRun",
        summary: "Look at a run, or wait until it is over",
        description:
          "With its first steps; elements of mapped steps are counted with these, and listed by `/v1/runs/{id}/steps?of=KEY`.",
        tags: TAGS,
        params: RUN_PARAMS,
        querystring: RUN_QUERY,
        response: {
          200: answer("The run as it is now.", runSchema(STEP)),
          ...problems(...LOOK_PROBLEMS, ...PAYLOAD_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const { wait_seconds: waitSeconds, steps } = request.query;
      const options = { tenant: callerOf(request).tenant, steps, waitMs: waitSeconds * 1_000 };
      const text = await reader.read(request.params.id, options, reply.raw);
      return reply.type("application/json").send(text);
    },
  );

  app.get(
    "/v1/runs/:id/steps",
    {
      config: { scope: "read" },
      schema: {
        operationId: "listSteps",
        summary: "The steps of a run, in the order of its graph",
        description:
          "Or the elements of a mapped step. Inputs and results are at the tasks themselves, `/v1/tasks/{task_id}`.",
        tags: TAGS,
        params: RUN_PARAMS,
        querystring: STEP_QUERY,
        response: {
          200: answer("A page.", z.object({ steps: z.array(STEP), next_cursor: NEXT_CURSOR })),
          ...problems(...LOOK_PROBLEMS, ...PAYLOAD_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const { of = null, state: states = null, limit, cursor = "0" } = request.query;
      const position = /^\d{1,6}$/.test(cursor) ? Number(cursor) : refuseCursor();
      const run = await findRun(database, request.params.id, callerOf(request).tenant);
      const outline = await outlines.of(run.id);
      const page = await listSteps(run, outline, { of, states, position, limit }, { database, payloads });
      const nextCursor = page.next === null ? "null" : `"${page.next}"`;
      return reply
        .type("application/json")
        .send(`{"steps":[${page.steps.map(stepText).join(",")}],"next_cursor":${nextCursor}}`);
    },
  );

  app.get(
    "/v1/runs/:id/graph",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getRunGraph",
        summary: "The graph of a run, as it was posted, and its edges",
        tags: TAGS,
        params: RUN_PARAMS,
        response: {
          200: answer(
            "The graph never changes. `edges` follow from `after` and the references.",
            z.object({ run_id: z.uuid(), graph: z.unknown(), edges: z.array(EDGE) }),
          ),
          ...problems(...LOOK_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const { id } = await findRun(database, request.params.id, callerOf(request).tenant);
      const [graph, { steps }] = await Promise.all([readGraphText(database, id), outlines.of(id)]);
      if (graph === undefined) throw runNotFound(id);
      const edges = steps.flatMap(({ key, parents }) => parents.map((parent) => ({ parent, child: key })));
      return reply
        .type("application/json")
        .send(`{"run_id":"${id}","graph":${graph},"edges":${JSON.stringify(edges)}}`);
    },
  );
}

function refuseCursor(): never {
  throw requestInvalid([{ path: "cursor", message: "expected the next_cursor of an answer, got something else" }]);
}
