/** A real HTTP server that answers as a test says, one step a request: for failures that a working API does not have. */
import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";

/** Answers, or destroys the connection. */
export type Step = (reply: FastifyReply, request: FastifyRequest) => unknown;

export type ScriptedServer = {
  readonly url: string;
  /** What was asked, in order. */
  readonly requests: readonly { method: string; path: string; key: string | undefined; body: string }[];
  /** The answers to come; the last one is given for ever. */
  script(...steps: readonly Step[]): void;
  close(): Promise<void>;
};

export async function startScriptedServer(): Promise<ScriptedServer> {
  const app = Fastify({ forceCloseConnections: true });
  const requests: { method: string; path: string; key: string | undefined; body: string }[] = [];
  let steps: Step[] = [];

  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));
  app.all("/*", async (request, reply) => {
    const key = request.headers["idempotency-key"];
    requests.push({
      method: request.method,
      path: request.url,
      key: Array.isArray(key) ? key[0] : key,
      body: typeof request.body === "string" ? request.body : "",
    });
    const step = steps.length > 1 ? steps.shift() : steps[0];
    return step?.(reply, request) ?? reply;
  });
  return {
    url: await app.listen({ host: "127.0.0.1", port: 0 }),
    requests,
    script(...next) {
      requests.length = 0;
      steps = [...next];
    },
    close: async () => app.close(),
  };
}

/** Answers with JSON. */
export function answers(status: number, body: object, headers: Record<string, string> = {}): Step {
  return (reply) => reply.code(status).headers(headers).send(body);
}

/** Refuses as the API does. */
export function refuses(status: number, code: string, headers: Record<string, string> = {}): Step {
  const problem = { type: `urn:taskiq-aws:error:${code}`, title: "A title", status, detail: "A detail.", code };
  return (reply) => reply.code(status).headers(headers).type("application/problem+json").send(JSON.stringify(problem));
}

/** Resets the connection instead of an answer. */
export const resets: Step = (reply) => {
  reply.hijack();
  reply.raw.socket?.resetAndDestroy();
};

/** Sends the head and half of a body, then resets the connection. */
export const breaksOff: Step = (reply) => {
  reply.hijack();
  reply.raw.writeHead(202, { "content-type": "application/json", "content-length": "1000" });
  reply.raw.write('{"task_id":"', () => reply.raw.socket?.resetAndDestroy());
};

/** Never answers. */
export const hangs: Step = (reply) => {
  reply.hijack();
};

/** A task as the API shows it. */
export function taskBody(over: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    task_id: "0190b6a0-0000-7000-8000-000000000001",
    task: "sleep",
    queue: "default",
    state: "queued",
    attempt: 0,
    failures: 0,
    losses: 0,
    priority: 0,
    labels: {},
    input: { duration_seconds: 1 },
    result: null,
    error: null,
    worker: null,
    progress: null,
    progress_message: null,
    due_at: "2026-01-01T00:00:00.000Z",
    created_at: "2026-01-01T00:00:00.000Z",
    started_at: null,
    finished_at: null,
    ...over,
  };
}
