/**
 * Liveness of a worker process: is restarting it the cure? That the server answers shows that the event loop turns; the
 * rest is whether the poll loop still goes round. The database and SQS are never asked: when they are away a restart
 * cures nothing, and would cost every running attempt. Two routes need no framework, so this is plain node:http.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "./clock.ts";
import { describeError, TaskiqError } from "./errors.ts";

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

/**
 * Serves `GET /livez`: 200 while `live` says so, else 503; either way with its sentence. `port` 0 takes a free one.
 * Does not keep the process alive. Throws TaskiqError `config_invalid` when the address cannot be listened on.
 */
export async function startProbe(options: { host: string; port: number; live(): Liveness }): Promise<Probe> {
  const { host, port, live } = options;
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    const path = request.url?.split("?", 1)[0];
    const known = path === "/livez" && (request.method === "GET" || request.method === "HEAD");
    const { status, why } = known ? answer(live) : { status: 404, why: "GET /livez is all that is served here" };
    // Each connection serves one request: an idle one would hold up a stopping process.
    response.writeHead(status, { "content-type": "text/plain; charset=utf-8", connection: "close" });
    response.end(`${why}\n`);
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

function answer(live: () => Liveness): { status: number; why: string } {
  try {
    const { ok, why } = live();
    return { status: ok ? 200 : 503, why };
  } catch (error) {
    return { status: 503, why: `could not tell: ${describeError(error).message}` };
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
