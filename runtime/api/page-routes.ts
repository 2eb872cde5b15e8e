/**
 * The dashboard: `/`, `/assets/…` and what else stands beside them. They are files without data, open to everybody as `/docs` is; what they show
 * comes from the other routes, which ask for a key. The policy lets them load nothing from elsewhere, and nobody frame them.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import type { App } from "./app.ts";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");
const NOT_BUILT =
  "The dashboard is not built. Run `npm run web` where taskiq-aws is installed, then load this page again.\n";
/** As the build makes them: one level, and nothing hidden. */
const FILE_NAME = /^\w[\w.-]*$/;
/** Their names change with their content. */
const FOREVER = { maxAge: "365d", immutable: true } as const;
/** Asked for anew each time, and sent only when it has changed. */
const CHECKED = { maxAge: 0, immutable: false } as const;

/** @param root the folder of the built files; it may come later, or never */
export async function pageRoutes(app: App, root: string): Promise<void> {
  await app.register(fastifyStatic, { root, serve: false, preCompressed: true });
  const open = { config: { scope: null }, schema: { hide: true } } as const;

  app.get("/", open, async (_request, reply) => {
    try {
      await access(join(root, "index.html"));
    } catch {
      return guarded(reply).code(503).type("text/plain; charset=utf-8").send(NOT_BUILT);
    }
    return guarded(reply).sendFile("index.html", CHECKED);
  });

  app.get("/icon.svg", open, (_request, reply) => guarded(reply).sendFile("icon.svg", CHECKED));

  const params = z.object({ name: z.string() });
  app.get("/assets/:name", { ...open, schema: { hide: true, params } }, (request, reply) => {
    const { name } = request.params;
    if (!FILE_NAME.test(name)) return reply.callNotFound();
    return guarded(reply).sendFile(`assets/${name}`, FOREVER);
  });
}

function guarded(reply: FastifyReply): FastifyReply {
  return reply.headers({
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  });
}
