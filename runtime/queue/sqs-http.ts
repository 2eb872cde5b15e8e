/**
 * The HTTP side of the SQS clients, in place of the SDK's own handler. That one arms five timers a request and hands the
 * body on as a stream, a third of what a request costs after signing; and its request timeout ends with the
 * response headers, so a connection that goes silent in the body is only seen by an idle timeout of its own.
 * SQS answers are at most some megabytes of JSON, so here one timer covers everything up to the last byte.
 */
import http from "node:http";
import https from "node:https";
import type { SQSClient } from "@aws-sdk/client-sqs";

type SdkHandler = SQSClient["config"]["requestHandler"];
export type HttpRequest = Parameters<SdkHandler["handle"]>[0];
export type HttpResponse = Awaited<ReturnType<SdkHandler["handle"]>>["response"];

export type SqsHttp = {
  /** How many requests were started, repeated ones included. */
  readonly requests: number;
  /**
   * Rejects with a `TimeoutError` after `timeoutMs`, measured from the call to the end of the answer, or with what
   * the socket says. There is deliberately no way to abort: see `receive` in sqs.ts.
   */
  exchange(request: HttpRequest, timeoutMs: number): Promise<HttpResponse>;
  /** The same for the SDK's own path through a request, with the default timeout. */
  readonly sdkHandler: SdkHandler;
  /** Closes all connections; requests in flight reject. */
  close(): void;
};

export type SqsHttpOptions = {
  /** For requests of the SDK's own path. */
  readonly timeoutMs: number;
  /** How long a new TCP connection may take. */
  readonly connectTimeoutMs: number;
  /** Connections per host; further requests queue (and their timers run). */
  readonly maxSockets: number;
};

export function createSqsHttp({ timeoutMs: defaultTimeoutMs, connectTimeoutMs, maxSockets }: SqsHttpOptions): SqsHttp {
  const plain = new http.Agent({ keepAlive: true, maxSockets });
  const secure = new https.Agent({ keepAlive: true, maxSockets });
  let requests = 0;

  function exchange(request: HttpRequest, timeoutMs: number): Promise<HttpResponse> {
    requests++;
    return new Promise((resolve, reject) => {
      const isSecure = request.protocol === "https:";
      const outgoing = (isSecure ? https : http).request(
        {
          // URLs write IPv6 addresses in brackets, sockets do not.
          host: request.hostname.startsWith("[") ? request.hostname.slice(1, -1) : request.hostname,
          port: request.port,
          method: request.method,
          path: request.path,
          headers: request.headers,
          agent: isSecure ? secure : plain,
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("error", fail);
          incoming.on("end", () => {
            clearTimeout(timer);
            resolve({
              statusCode: incoming.statusCode ?? 0,
              // Only set-cookie would be a list, and SQS sets no cookies.
              headers: incoming.headers as Record<string, string>,
              body: chunks.length === 1 ? chunks[0] : Buffer.concat(chunks),
            });
          });
        },
      );
      const timer = setTimeout(() => {
        giveUp(`no complete answer from ${request.hostname} within ${timeoutMs} ms`);
      }, timeoutMs);
      outgoing.on("socket", (socket) => {
        if (!socket.connecting) return;
        const connectTimer = setTimeout(() => {
          giveUp(`no connection to ${request.hostname} within ${connectTimeoutMs} ms`);
        }, connectTimeoutMs);
        socket.once("connect", () => clearTimeout(connectTimer));
        outgoing.once("close", () => clearTimeout(connectTimer));
      });
      outgoing.on("error", fail);
      outgoing.end(request.body);

      function giveUp(message: string): void {
        // Rejects first: what a request that is destroyed inside its answer reports depends on how far it came.
        fail(timeoutError(message));
        outgoing.destroy();
      }

      function fail(error: Error): void {
        clearTimeout(timer);
        reject(error);
      }
    });
  }

  return {
    get requests() {
      return requests;
    },
    exchange,
    sdkHandler: {
      metadata: { handlerProtocol: "http/1.1" },
      handle: async (request) => ({ response: await exchange(request, defaultTimeoutMs) }),
      updateHttpClientConfig: () => {},
      httpHandlerConfigs: () => ({}),
      destroy: () => {},
    },
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

/** Named and coded as the SDK's own, because its retry strategy looks at both. */
function timeoutError(message: string): Error {
  return Object.assign(new Error(message), { name: "TimeoutError", code: "ETIMEDOUT" });
}
