/**
 * Liveness of a worker process: is restarting it the cure? That the server answers shows that the event loop turns; the
 * rest is whether the poll loop still goes round. The database and SQS are never asked: when they are away a restart
 * cures nothing, and would cost every running attempt. Prometheus finds the process's metrics beside it. Two routes need no framework, so this
 * is plain node:http.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "./clock.ts";
import { describeError } from "./describe-error.ts";
import { TaskiqError } from "./errors.ts";

export type Liveness = {
  readonly ok: boolean;
  /** A sentence for whoever looks at the probe. */
  readonly why: string;
};

export type Probe = {
  /** The port that was taken, also where 0 was asked for. */
  readonly port: number;
  /** Stops listening and drops open connections. */
  close(): Promise<void>;
};

/** Whether a loop still goes round, as the loop itself reports it. */
export type Progress = {
  /** The loop went round, with or without success. Ends a pause. */
  moved(): void;
  /** The loop stands still on purpose, such as while the database is away: alive until it moves again. */
  paused(why: string): void;
  live(): Liveness;
};

/** How long a loop may go without a round. Longer than a long poll (20 s) with its retries. */
export const MAX_SILENCE_MS = 90_000;

/** Follows one loop. It counts as moving when this is called. */
export function followProgress(clock: Clock, maxSilenceMs: number = MAX_SILENCE_MS): Progress {
  let movedAtMs = clock.nowMs();
  let pause: string | undefined;
  return {
    moved() {
      movedAtMs = clock.nowMs();
      pause = undefined;
    },
    paused(why) {
      pause = why;
    },
    live() {
      const silenceMs = Math.round(clock.nowMs() - movedAtMs);
      if (pause !== undefined) return { ok: true, why: `paused on purpose: ${pause}` };
      if (silenceMs <= maxSilenceMs) return { ok: true, why: `moved ${silenceMs} ms ago` };
      return { ok: false, why: `has not moved for ${silenceMs} ms, more than ${maxSilenceMs} ms` };
    },
  };
}

export type ProbeOptions = {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  live(): Liveness;
  /** What `/metrics` shows. Absent or null: that there are none. */
  readonly metrics?: { text(): Promise<string>; readonly contentType: string } | null;
};

/**
 * Serves `GET /livez`: 200 while `live` says so, else 503; either way with its sentence. And `GET /metrics`.
 * Does not keep the process alive. Throws TaskiqError `config_invalid` when the address cannot be listened on.
 */
export async function startProbe({ host, port, live, metrics = null }: ProbeOptions): Promise<Probe> {
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, async (request, response) => {
    const path = request.url?.split("?", 1)[0];
    const reads = request.method === "GET" || request.method === "HEAD";
    const { status, text, type } =
      reads && path === "/livez" ? answer(live) : reads && path === "/metrics" ? await shown(metrics) : NOT_SERVED;
    // Each connection serves one request: an idle one would hold up a stopping process.
    response.writeHead(status, { "content-type": type, connection: "close" });
    response.end(text);
  });
  await listen(server, host, port);
  server.unref();
  // An address of a server that listens on a port, which is never a pipe's name.
  const address = server.address() as AddressInfo;
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Answer = { readonly status: number; readonly text: string; readonly type: string };

function sentence(status: number, why: string): Answer {
  return { status, text: `${why}\n`, type: "text/plain; charset=utf-8" };
}

const NOT_SERVED = sentence(404, "GET /livez and GET /metrics are all that is served here");

function answer(live: () => Liveness): Answer {
  try {
    const { ok, why } = live();
    return sentence(ok ? 200 : 503, why);
  } catch (error) {
    return sentence(503, `could not tell: ${describeError(error).message}`);
  }
}

async function shown(metrics: NonNullable<ProbeOptions["metrics"]> | null): Promise<Answer> {
  if (metrics === null) return sentence(404, "no metrics: put prometheus into TASKIQ_METRICS to have them here");
  try {
    return { status: 200, text: await metrics.text(), type: metrics.contentType };
  } catch (error) {
    return sentence(500, `could not be read: ${describeError(error).message}`);
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const advice = "Set TASKIQ_PROBE_PORT to a free port, or to 0 for no liveness server.";
      const message = `The liveness server cannot listen on ${host}:${port} (${describeError(cause).message}). ${advice}`;
      reject(new TaskiqError("config_invalid", message, { cause }));
    });
    server.listen(port, host, () => {
      // A failing accept later on must not end the process; the probe's own answers show it.
      server.on("error", () => {});
      resolve();
    });
  });
}
