/**
 * One look at the database for many who look at the same: pages that are open in fifty browsers ask for the same list every few seconds. Only who asks
 * for it, by the header `x-taskiq-shared: 1`, gets an answer that another has brought about: after an action of its own a caller wants to see it.
 * One task and one run are never shared: they are read when an event has told that they are different now.
 */
import type { FastifyRequest } from "fastify";
import type { Clock } from "../clock.ts";
import type { App } from "./app.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Its answers depend on nothing but the URL and the tenant of the caller, who may ask for one that is shared. */
    shared?: true;
  }
}

/** Resolves with the text of a good answer, or with undefined where none came of it. */
type Look = { readonly atMs: number; text: Promise<string | undefined>; settle(text: string | undefined): void };

export const SHARED_HEADER = "x-taskiq-shared";
/** Counted from when it was asked for. */
export const SHARED_FRESH_MS = 2_000;
const MAX_LOOKS = 500;
/** A longer answer serves those who wait for it, and is not kept. */
const MAX_KEPT_CHARS = 262_144;

/** Before any route is added, and after callers are identified. */
export function shareLooks(app: App, clock: Clock): void {
  const looks = new Map<string, Look>();
  const leading = new WeakMap<FastifyRequest, string>();

  app.addHook("preHandler", async (request, reply) => {
    if (request.routeOptions.config.shared !== true || request.headers[SHARED_HEADER] !== "1") return;
    const key = `${request.caller?.tenant} ${request.url}`;
    const known = looks.get(key);
    if (known !== undefined && clock.nowMs() - known.atMs < SHARED_FRESH_MS) {
      const text = await known.text;
      if (text !== undefined) return reply.type("application/json").send(text);
    }
    begin(key);
    leading.set(request, key);
    // Whoever hangs up may never be answered.
    reply.raw.once("close", () => end(request, undefined));
  });

  app.addHook("onSend", async (request, reply, payload) => {
    end(request, reply.statusCode === 200 && typeof payload === "string" ? payload : undefined);
  });

  function begin(key: string): void {
    const atMs = clock.nowMs();
    for (const [old, look] of looks) if (atMs - look.atMs >= SHARED_FRESH_MS) looks.delete(old);
    if (looks.size >= MAX_LOOKS) return;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    looks.set(key, { atMs, text: promise, settle: resolve });
  }

  function end(request: FastifyRequest, text: string | undefined): void {
    const key = leading.get(request);
    if (key === undefined) return;
    leading.delete(request);
    const look = looks.get(key);
    if (look === undefined) return;
    look.settle(text);
    if (text === undefined || text.length > MAX_KEPT_CHARS) looks.delete(key);
  }
}
