/** Jobs over HTTP: they are defined in the code of the deployment. */
import type { Graph, RunMode } from "../model/graph.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";

export type JobSummary = {
  readonly name: string;
  readonly description: string | null;
  /** Unless a run asks for another. */
  readonly mode: RunMode;
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>>;
  /** JSON schema of the input. */
  readonly inputSchema: unknown;
  readonly stepCount: number;
};

export type Job = JobSummary & {
  readonly graph: Graph;
  /** The answer as it came. */
  readonly json: string;
};

export type Jobs = {
  /** In the order of their names. */
  list(): Promise<readonly JobSummary[]>;
  /** Throws ApiError `job_not_found`. */
  get(name: string): Promise<Job>;
};

/** @param refuse throws the error of an answer that this API cannot have given */
export function createJobs(requester: Requester, refuse: (text: string) => never): Jobs {
  return {
    async list() {
      const text = await requester.send({ method: "GET", path: "/v1/jobs" });
      const answer = jsonObject(text);
      if (!Array.isArray(answer?.jobs)) return refuse(text);
      return answer.jobs.map((job) => readJob(job) ?? refuse(text));
    },
    async get(name) {
      const text = await requester.send({ method: "GET", path: `/v1/jobs/${encodeURIComponent(name)}` });
      const object = jsonObject(text);
      const summary = readJob(object);
      if (summary === undefined || object?.graph === undefined) return refuse(text);
      // What has the fields of a job is one as the API describes it.
      return { ...summary, graph: object.graph as Graph, json: text };
    },
  };
}

/** The names of the answer, which this version of the API always has. */
type JobBody = Omit<JobSummary, "inputSchema" | "stepCount"> & { input_schema: unknown; step_count: number };

function readJob(value: unknown): JobSummary | undefined {
  if (typeof value !== "object" || value === null || !("name" in value) || !("step_count" in value)) return undefined;
  // Whoever answers with a name and a number of steps is the API, which keeps to its OpenAPI description.
  const {
    name,
    description,
    mode,
    priority,
    labels,
    input_schema: inputSchema,
    step_count: stepCount,
  } = value as JobBody;
  return { name, description, mode, priority, labels, inputSchema, stepCount };
}
