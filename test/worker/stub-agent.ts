/** The ECS agent's task protection endpoint, as its documentation and its source describe it. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export type AgentCall = { readonly ProtectionEnabled: boolean; readonly ExpiresInMinutes?: number };

/** `silence`: the call is never answered. `hang_up`: its connection is closed. */
export type StubAnswer = { readonly status: number; readonly body: string } | "silence" | "hang_up";

export type StubAgent = {
  /** What ECS would put into ECS_AGENT_URI. */
  readonly url: string;
  /** Calls of the right method, path and content type, in order. */
  readonly calls: readonly AgentCall[];
  /** Every other request. */
  readonly strays: readonly string[];
  /** How it answers from now on. */
  answer(how: (call: AgentCall) => StubAnswer): void;
  close(): Promise<void>;
};

const TASK_ARN = "arn:aws:ecs:eu-central-1:012345678910:task/demo/b8b1cf532d0e46ba8d44a40d1de16772";
const CONTAINER = "/api/ad9f77c6-5a85-4c09-a261-2d5c7ca8bfbf";

export function agrees(call: AgentCall): StubAnswer {
  const ExpirationDate = call.ProtectionEnabled ? "2026-12-20T21:57:44.837Z" : undefined;
  return json(200, { protection: { ExpirationDate, ProtectionEnabled: call.ProtectionEnabled, TaskArn: TASK_ARN } });
}

/** ECS answered, and did not do it: status 200. */
export function fails(Reason: string, Detail: string | null = null): StubAnswer {
  return json(200, { failure: { Arn: TASK_ARN, Detail, Reason } });
}

/** ECS or the agent threw. */
export function errs(status: number, Code: string, Message = "no"): StubAnswer {
  return json(status, { requestID: "12345-abc", error: { Arn: TASK_ARN, Code, Message } });
}

function json(status: number, body: unknown): StubAnswer {
  return { status, body: JSON.stringify(body) };
}

export async function startStubAgent(): Promise<StubAgent> {
  const calls: AgentCall[] = [];
  const strays: string[] = [];
  let how: (call: AgentCall) => StubAnswer = agrees;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method, url, headers } = request;
    const known = method === "PUT" && url === `${CONTAINER}/task-protection/v1/state`;
    if (!known || headers["content-type"] !== "application/json") {
      strays.push(`${method} ${url} ${headers["content-type"]}`);
      response.writeHead(404).end();
      return;
    }
    const call: AgentCall = JSON.parse(Buffer.concat(chunks).toString());
    calls.push(call);
    const answer = how(call);
    if (answer === "silence") return;
    if (answer === "hang_up") {
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A server that listens on a port has an address.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${CONTAINER}`,
    calls,
    strays,
    answer(next) {
      how = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
