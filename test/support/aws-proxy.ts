/**
 * An HTTP proxy in front of an emulator that sees single AWS calls and can fail them one by one: what emulators never
 * do of themselves, such as an entry of a batch that fails on the service's side. For faults of the network see tcp-proxy.ts.
 */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { until } from "./until.ts";

export type AwsCall = {
  /** `SendMessageBatch` and so on for SQS; the HTTP method for S3. */
  readonly operation: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** The client's port: the same for calls over one connection. */
  readonly connection: number;
};

export type AwsAnswer = {
  readonly status: number;
  readonly headers: http.OutgoingHttpHeaders;
  readonly body: string;
};

export type Treatment =
  | { readonly kind: "pass" }
  /** Not forwarded: the emulator never sees the call. */
  | { readonly kind: "answer"; readonly answer: AwsAnswer }
  /** Forwarded; what comes back is changed. */
  | { readonly kind: "change"; readonly change: (answer: AwsAnswer) => AwsAnswer }
  /** Forwarded; the answer comes without an announced length. */
  | { readonly kind: "chunk" }
  /** Neither forwarded nor answered, while the connection stays open. */
  | { readonly kind: "silence" }
  /** Forwarded; of the answer's body these characters come (its length is announced in full), then nothing. */
  | { readonly kind: "stall"; readonly after: number }
  /** Forwarded; the connection is reset after these characters of the body. */
  | { readonly kind: "break"; readonly after: number };

export type AwsProxy = {
  readonly endpoint: string;
  /** Every call so far, in order of arrival. */
  readonly calls: readonly AwsCall[];
  callsOf(operation: string): readonly AwsCall[];
  /** Resolves when so many calls of the operation have arrived. */
  arrived(operation: string, count: number): Promise<void>;
  /** From now on decides about each call. `nth` counts the calls of its operation from 1. */
  treat(decide: (call: AwsCall, nth: number) => Treatment): void;
  close(): Promise<void>;
};

const PASS: Treatment = { kind: "pass" };

export async function startAwsProxy(target: string): Promise<AwsProxy> {
  const calls: AwsCall[] = [];
  let decide: (call: AwsCall, nth: number) => Treatment = () => PASS;
  const callsOf = (operation: string): AwsCall[] => calls.filter((call) => call.operation === operation);

  const server = http.createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy());
  });

  async function handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await textOf(request);
    const sqsTarget = request.headers["x-amz-target"];
    const operation = typeof sqsTarget === "string" ? sqsTarget.replace(/^.*\./, "") : (request.method ?? "");
    const call: AwsCall = {
      operation,
      path: request.url ?? "/",
      headers: request.headers,
      body,
      connection: request.socket.remotePort ?? 0,
    };
    calls.push(call);
    const treatment = decide(call, callsOf(operation).length);
    switch (treatment.kind) {
      case "silence":
        return;
      case "answer":
        return reply(response, treatment.answer);
      case "pass":
        return reply(response, await forward(target, request, body, response));
      case "change":
        return reply(response, treatment.change(await forward(target, request, body, response)));
      case "chunk": {
        const { status, headers, body: text } = await forward(target, request, body, response);
        const { "content-length": _, ...kept } = headers;
        response.writeHead(status, kept);
        response.end(text);
        return;
      }
      case "stall":
      case "break": {
        const answer = await forward(target, request, body, response);
        response.writeHead(answer.status, { ...answer.headers, "content-length": Buffer.byteLength(answer.body) });
        response.write(answer.body.slice(0, treatment.after));
        if (treatment.kind === "break") response.write("", () => response.destroy());
      }
    }
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A TCP listener's address is an object; it is a string only for pipes.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    calls,
    callsOf,
    async arrived(operation, count) {
      await until(() => callsOf(operation).length >= count, { what: `${count} calls of ${operation}` });
    },
    treat(next) {
      decide = next;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** The JSON of an answer with some of it replaced. */
export function changeJson(change: (json: Record<string, unknown>) => Record<string, unknown>): Treatment {
  return {
    kind: "change",
    // SQS answers with a JSON object.
    change: (answer) => ({
      ...answer,
      body: JSON.stringify(change(JSON.parse(answer.body) as Record<string, unknown>)),
    }),
  };
}

/** An error as SQS gives it. */
export function sqsError(status: number, code: string): Treatment {
  return {
    kind: "answer",
    answer: {
      status,
      headers: { "content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "test" },
      body: JSON.stringify({ __type: `com.amazonaws.sqs#${code}`, message: `the test said ${code}` }),
    },
  };
}

/** A caller that hangs up takes its call with it: a poll that goes on would hide messages from everybody. */
function forward(
  target: string,
  request: http.IncomingMessage,
  body: string,
  caller: http.ServerResponse,
): Promise<AwsAnswer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(target);
    const { method, url: path, headers } = request;
    const onward = http.request({ hostname, port, method, path, headers, agent: false }, (answer) => {
      textOf(answer).then(
        (text) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }),
        reject,
      );
    });
    onward.on("error", reject);
    caller.once("close", () => onward.destroy());
    onward.end(body);
  });
}

function reply(response: http.ServerResponse, { status, headers, body }: AwsAnswer): void {
  const { "content-length": _, "transfer-encoding": __, ...kept } = headers;
  response.writeHead(status, { ...kept, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

async function textOf(message: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
