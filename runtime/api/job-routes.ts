/** `/v1/jobs`: the graphs of steps that are defined in code, and the schema of those that are posted. */
import { z } from "zod";
import type { JobDefinition, JobRegistry } from "../define/job.ts";
import { TaskiqError } from "../errors.ts";
import { boundText } from "../issues.ts";
import type { App } from "./app.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { GRAPH_JSON_SCHEMA } from "./run-request.ts";

const TAGS = ["jobs"];
const PARAMS = z.object({ name: z.string().register(DOCS, { description: "The name of the job." }) });

const JOB_SHAPE = {
  name: z.string(),
  description: z.string().nullable(),
  mode: z.enum(["orchestrated", "simple"]).register(DOCS, { description: "Unless a run asks for another." }),
  priority: z.int(),
  labels: z.record(z.string(), z.string()),
  input_schema: z.unknown().register(DOCS, { description: "JSON schema of the input." }),
  step_count: z.int().min(1),
};
const JOB_SUMMARY = z.object(JOB_SHAPE).register(DOCS, { id: "JobSummary" });
const JOB = z
  .object({ ...JOB_SHAPE, graph: z.unknown().register(DOCS, { description: "As in `/v1/graph-schema.json`." }) })
  .register(DOCS, { id: "Job", description: "A job with its graph." });

export function jobRoutes(app: App, { jobs }: { readonly jobs: JobRegistry }): void {
  app.get(
    "/v1/jobs",
    {
      config: { scope: "read" },
      schema: {
        operationId: "listJobs",
        summary: "The jobs, in the order of their names",
        tags: TAGS,
        response: { 200: answer("All of them.", z.object({ jobs: z.array(JOB_SUMMARY) })) },
      },
    },
    (_request, reply) => {
      const all = [...jobs.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
      return reply.type("application/json").send(JSON.stringify({ jobs: all.map(summaryOf) }));
    },
  );

  app.get(
    "/v1/jobs/:name",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getJob",
        summary: "Look at a job",
        tags: TAGS,
        params: PARAMS,
        response: { 200: answer("The job with its graph.", JOB), ...problems("job_not_found", "request_invalid") },
      },
    },
    (request, reply) => {
      const { name } = request.params;
      const job = jobs.get(name);
      if (job === undefined) {
        const detail = `expected the name of a job, got ${JSON.stringify(boundText(name))}, which none has. GET /v1/jobs lists them.`;
        throw new TaskiqError("job_not_found", detail);
      }
      return reply.type("application/json").send(JSON.stringify({ ...summaryOf(job), graph: job.graph }));
    },
  );

  app.get(
    "/v1/graph-schema.json",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getGraphSchema",
        summary: "The JSON schema of a graph of steps",
        tags: TAGS,
        response: {
          200: {
            description: "JSON schema, draft 2020-12.",
            content: { "application/schema+json": { schema: z.unknown() } },
          },
        },
      },
    },
    (_request, reply) => reply.type("application/schema+json").send(JSON.stringify(GRAPH_JSON_SCHEMA)),
  );
}

function summaryOf(job: JobDefinition) {
  return {
    name: job.name,
    description: job.description ?? null,
    mode: job.mode,
    priority: job.priority,
    labels: job.labels,
    input_schema: z.toJSONSchema(job.input, { io: "input", unrepresentable: "any" }),
    step_count: job.graph.steps.length,
  };
}
