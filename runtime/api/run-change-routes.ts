/** Cancel a run, ring for its silent steps, and run it again. */
import { z } from "zod";
import { audit, audited } from "../access/audit.ts";
import { TaskiqError } from "../errors.ts";
import { MAX_CANCEL_REASON_CHARS } from "../flow/cancel.ts";
import { cancelRun } from "../flow/cancel-run.ts";
import { resumeRun } from "../flow/resume-run.ts";
import type { RunSubmitter } from "../flow/runs.ts";
import { RUN_STATES } from "../model/run.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { callerOf } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { RUN_PARAMS, runNotFound } from "./run-reader.ts";
import { RUN_ACCEPTED, runAcceptedText } from "./run-routes.ts";
import { IDEMPOTENCY_HEADERS } from "./submission.ts";

export type RunChangeRouteParts = { readonly database: Database; readonly submitter: RunSubmitter };

const TAGS = ["runs"];
const MAX_CHOSEN = 1_000;
const REASON = z
  .strictObject({
    reason: z
      .string()
      .max(MAX_CANCEL_REASON_CHARS)
      .optional()
      .register(DOCS, { description: "Why, for whoever looks at the run later." }),
  })
  .nullish();
const CHOICE = z.strictObject({
  steps: z
    .union([
      z.literal(["from_failure", "all"]),
      z
        .array(z.string().regex(/^[A-Za-z0-9_-]{1,100}\*?$/, "expected the key of a step, with * for all after it too"))
        .min(1)
        .max(MAX_CHOSEN),
    ])
    .register(DOCS, {
      description:
        "`from_failure`: the steps that failed, were cancelled or never ran; results of the others are kept. `all`: every step. Or keys of steps, " +
        'of which `"load*"` is `load` and all that comes after it.',
    }),
});
const STATE = z.object({ run_id: z.uuid(), state: z.enum(RUN_STATES) });
const BODY_PROBLEMS = ["not_json_body", "unsupported_media_type"] as const;
const LOOK_PROBLEMS = ["run_not_found", "request_invalid", "database_unavailable"] as const;

export function runChangeRoutes(app: App, { database, submitter }: RunChangeRouteParts): void {
  app.post(
    "/v1/runs/:id/cancel",
    {
      config: { scope: "operate", bodyOptional: true },
      schema: {
        operationId: "cancelRun",
        summary: "Cancel a run",
        description:
          "What does not run is cancelled at once, what runs is told to stop within a second, and nothing starts any more. Asking again changes nothing.",
        tags: TAGS,
        params: RUN_PARAMS,
        body: REASON,
        response: {
          200: answer("It is over.", STATE),
          202: answer("Some steps run, and are being stopped.", STATE),
          ...problems("run_finished", ...BODY_PROBLEMS, ...LOOK_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const id = plainId(request.params.id);
      const reason = request.body?.reason ?? null;
      const caller = callerOf(request);
      const { state } = await audited(database, async (tx) => {
        const inside = { transaction: <T>(work: (same: typeof tx) => Promise<T>) => work(tx) };
        const found = await cancelRun(inside, id, { tenant: caller.tenant, reason });
        if (found === null) throw runNotFound(id);
        if (found.was !== "running") throw finished(id, found.was);
        await audit(tx, caller, "run.cancel", id, { reason });
        return found;
      });
      return reply
        .code(state === "running" ? 202 : 200)
        .type("application/json")
        .send(stateText(id, state));
    },
  );

  app.post(
    "/v1/runs/:id/resume",
    {
      config: { scope: "operate", bodyOptional: true },
      schema: {
        operationId: "resumeRun",
        summary: "Ring again for the steps of a run that wait to be claimed",
        description: "Happens by itself after a while; this is for who does not want to wait. It may be repeated.",
        tags: TAGS,
        params: RUN_PARAMS,
        response: {
          200: answer(
            "`rung`: so many steps.",
            z.object({ run_id: z.uuid(), state: z.enum(RUN_STATES), rung: z.int().min(0) }),
          ),
          ...problems(...BODY_PROBLEMS, ...LOOK_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const id = plainId(request.params.id);
      const caller = callerOf(request);
      const { state, rung } = await audited(database, async (tx) => {
        const found = await resumeRun(tx, id, { tenant: caller.tenant });
        if (found === null) throw runNotFound(id);
        await audit(tx, caller, "run.resume", id, { state: found.state, rung: found.rung });
        return found;
      });
      return reply.type("application/json").send(JSON.stringify({ run_id: id, state, rung }));
    },
  );

  app.post(
    "/v1/runs/:id/reexecute",
    {
      config: { scope: "operate" },
      schema: {
        operationId: "reexecuteRun",
        summary: "Run a run that is over again, as a new one",
        description: "With the same graph and input. The new run names this one as its parent.",
        tags: TAGS,
        params: RUN_PARAMS,
        headers: IDEMPOTENCY_HEADERS,
        body: CHOICE,
        response: {
          202: RUN_ACCEPTED,
          ...problems(
            "run_not_finished",
            "idempotency_mismatch",
            "payload_unavailable",
            "payload_missing",
            "body_too_large",
            ...BODY_PROBLEMS,
            ...LOOK_PROBLEMS,
          ),
        },
      },
    },
    async (request, reply) => {
      const id = plainId(request.params.id);
      const caller = callerOf(request);
      const { steps } = request.body;
      const idempotencyKey = request.headers["idempotency-key"];
      const { traceContext } = request;
      const options = { tenant: caller.tenant, steps, idempotencyKey, traceContext };
      const { kind, runId } = await submitter.reexecute(id, options);
      if (kind === "replayed") reply.header("idempotency-replayed", "true");
      else await audit(database, caller, "run.reexecute", id, { steps, run_id: runId });
      return reply
        .code(202)
        .header("location", `/v1/runs/${runId}`)
        .type("application/json")
        .send(runAcceptedText(runId));
    },
  );
}

function stateText(id: string, state: string): string {
  return `{"run_id":"${id}","state":"${state}"}`;
}

/** As the database writes it. */
function plainId(id: string): string {
  const hex = id.replaceAll("-", "").toLowerCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function finished(id: string, state: string): TaskiqError {
  return new TaskiqError(
    "run_finished",
    `expected a run that is not over, run ${id} is ${state}: it cannot be cancelled.`,
    {
      details: { state },
    },
  );
}
