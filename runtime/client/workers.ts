/** The workers of a deployment as the API shows them. */
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";

export type Worker = {
  readonly name: string;
  readonly version: string;
  /** Of its ECS task definition; null elsewhere. */
  readonly revision: number | null;
  /** `lost`: three heartbeats are missing. */
  readonly state: "alive" | "draining" | "lost";
  readonly queues: readonly string[];
  readonly slots: number;
  /** Attempts, as it said last. */
  readonly running: number;
  /** Ids; at most 100 in a list, 1,000 of one worker. */
  readonly runningTasks: readonly string[];
  readonly startedAt: Date;
  readonly beatAt: Date;
};

export type Workers = {
  /** By name, at most 1,000. Lost ones stay for a day. */
  list(): Promise<readonly Worker[]>;
  /** Throws ApiError `worker_not_found`. */
  get(name: string): Promise<Worker>;
};

/** @param refuse throws the error of an answer that this API cannot have given */
export function createWorkers(requester: Requester, refuse: (text: string) => never): Workers {
  return {
    async list() {
      const text = await requester.send({ method: "GET", path: "/v1/workers" });
      const workers = jsonObject(text)?.workers;
      return Array.isArray(workers) ? workers.map((worker) => readWorker(worker) ?? refuse(text)) : refuse(text);
    },
    async get(name) {
      const text = await requester.send({ method: "GET", path: `/v1/workers/${encodeURIComponent(name)}` });
      return readWorker(jsonObject(text)) ?? refuse(text);
    },
  };
}

type WorkerBody = {
  name: string;
  version: string;
  revision: number | null;
  state: "alive" | "draining" | "lost";
  queues: string[];
  slots: number;
  running: number;
  running_tasks: string[];
  started_at: string;
  beat_at: string;
};

function readWorker(value: unknown): Worker | undefined {
  if (typeof value !== "object" || value === null || !("name" in value) || !("slots" in value)) return undefined;
  // Whoever answers with a name and slots is the API, which keeps to its OpenAPI description.
  const body = value as WorkerBody;
  return {
    name: body.name,
    version: body.version,
    revision: body.revision,
    state: body.state,
    queues: body.queues,
    slots: body.slots,
    running: body.running,
    runningTasks: body.running_tasks,
    startedAt: new Date(body.started_at),
    beatAt: new Date(body.beat_at),
  };
}
