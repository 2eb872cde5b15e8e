/**
 * One request to the API, repeated while that is right. A request that creates something always carries a key, the same
 * one each time: an answer that got lost on its way is asked for again, and nothing is done twice.
 */
import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import { traceHeadersOf } from "../tracing/carrier.ts";
import { activeTraceContext } from "../tracing/tracing.ts";
import { ApiError, mayPass } from "./api-error.ts";
import { checkedBaseUrl } from "./base-url.ts";
import { pause } from "./pause.ts";
import { problemOf } from "./problem.ts";

export type ApiRequest = {
  readonly method: "GET" | "POST" | "DELETE";
  /** With its query, `/v1/tasks/…?wait_seconds=20`. */
  readonly path: string;
  /** JSON. */
  readonly body?: string;
  readonly idempotencyKey?: string;
  /** A status above 299 whose body is an answer all the same. */
  readonly alsoAccept?: number;
  /** How long the server may take on purpose, on top of the time for a request. */
  readonly heldMs?: number;
  /** It must not be repeated: what it makes cannot be told from what an earlier try made. */
  readonly once?: true;
  readonly signal?: AbortSignal | undefined;
};

export type Requester = {
  /**
   * The body of a good answer. Throws ApiError, or the reason of `signal`.
   */
  send(request: ApiRequest): Promise<string>;
  /** Opens a stream by GET, tried once; its body is not read yet. Throws ApiError, or the reason of `signal`. */
  open(request: StreamRequest): Promise<Response>;
};

export type StreamRequest = {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Ends it, also while its body is read. */
  readonly signal: AbortSignal;
};

export type RequesterOptions = {
  readonly baseUrl: string;
  /** Null: none is sent. */
  readonly apiKey: string | null;
  readonly fetch: typeof globalThis.fetch;
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  readonly clock: Clock;
  /** Whether an answer may be one that another caller has brought about. Default false. */
  readonly sharedLooks?: boolean;
};

const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5_000;
/** A server that asks for more patience than this is asked again after this. */
const MAX_RETRY_AFTER_MS = 30_000;

export function createRequester(options: RequesterOptions): Requester {
  const { fetch, timeoutMs, maxAttempts, clock, sharedLooks = false } = options;
  const baseUrl = checkedBaseUrl(options.baseUrl);
  const authorization = options.apiKey === null ? null : `Bearer ${checkedApiKey(options.apiKey)}`;

  /** One try: its answer, or an ApiError and how long the server wants to be left alone. */
  async function attempt(request: ApiRequest): Promise<Outcome> {
    const { method, path, body, idempotencyKey, alsoAccept, heldMs = 0, signal } = request;
    const limitMs = timeoutMs + heldMs;
    const limit = AbortSignal.timeout(limitMs);
    try {
      const response = await fetch(`${baseUrl}${path}`, {
        method,
        // A redirected POST becomes a GET without a body.
        redirect: "manual",
        headers: {
          accept: "application/json",
          // Tasks that a handler creates belong to the trace of its own.
          ...traceHeadersOf(activeTraceContext()),
          ...(authorization !== null && { authorization }),
          ...(sharedLooks && method === "GET" && { "x-taskiq-shared": "1" }),
          ...(body !== undefined && { "content-type": "application/json" }),
          ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
        },
        ...(body !== undefined && { body }),
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      });
      const text = await response.text();
      if (response.ok || response.status === alsoAccept) return { kind: "answered", text };
      const retryAfterMs = retryAfter(response.headers.get("retry-after"), clock);
      return { kind: "failed", error: problemOf(response, text, baseUrl), retryAfterMs };
    } catch (cause) {
      if (signal?.aborted === true) throw signal.reason;
      const reason = limit.aborted ? `no answer within ${limitMs} ms` : networkReason(cause);
      return { kind: "failed", error: unreachable(baseUrl, reason, cause), retryAfterMs: 0 };
    }
  }

  return {
    async send(request) {
      for (let tries = 1; ; tries++) {
        const outcome = await attempt(request);
        if (outcome.kind === "answered") return outcome.text;
        if (tries >= maxAttempts || request.once === true || !mayPass(outcome.error)) throw outcome.error;
        await pause(outcome.retryAfterMs + jitterMs(tries), request.signal, clock);
      }
    },
    async open({ path, headers, signal }) {
      // Until the head has come; the body may take for ever.
      const limit = new AbortController();
      const timer = setTimeout(() => limit.abort(), timeoutMs);
      try {
        const response = await fetch(`${baseUrl}${path}`, {
          redirect: "manual",
          headers: { ...headers, ...(authorization !== null && { authorization }) },
          signal: AbortSignal.any([signal, limit.signal]),
        });
        if (response.ok) return response;
        throw problemOf(response, await response.text(), baseUrl);
      } catch (cause) {
        if (signal.aborted) throw signal.reason;
        if (cause instanceof ApiError) throw cause;
        const reason = limit.signal.aborted ? `no answer within ${timeoutMs} ms` : networkReason(cause);
        throw unreachable(baseUrl, reason, cause);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** Not shown in the error: it is a secret, whatever is wrong with it. */
function checkedApiKey(key: string): string {
  if (/^[!-~]{1,200}$/.test(key)) return key;
  throw new TaskiqError(
    "config_invalid",
    "expected an API key of 1 to 200 visible ASCII characters, got something else.",
  );
}

type Outcome =
  | { readonly kind: "answered"; readonly text: string }
  | { readonly kind: "failed"; readonly error: ApiError; readonly retryAfterMs: number };

function unreachable(baseUrl: string, reason: string, cause: unknown): ApiError {
  const detail = `expected the API at ${baseUrl}, got: ${reason}. Check the address, and that the API runs.`;
  return new ApiError({ code: "api_unreachable", detail, cause });
}

/** `fetch failed` says nothing; what happened is in its cause, for a host with several addresses in a list there. */
function networkReason(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const first = cause instanceof AggregateError ? (cause.errors[0] ?? cause) : cause;
  return first instanceof Error && first.message !== "" ? first.message : String(first);
}

/** Milliseconds out of a number of seconds or a date; 0 where there is neither. */
function retryAfter(header: string | null, clock: Clock): number {
  if (header === null) return 0;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - clock.wallMs();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

/** Full jitter: clients that lost the API at one moment do not all come back at one moment. */
function jitterMs(tries: number): number {
  return Math.random() * Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), MAX_PAUSE_MS);
}
