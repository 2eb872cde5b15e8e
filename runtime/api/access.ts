/**
 * Asks each request for its key, before the body is read, and for the scope that its route names. There is no route without one: the server
 * does not start.
 */
import type { FastifyReply, FastifyRequest, RouteOptions } from "fastify";
import { HOME_TENANT } from "../access/scope.ts";
import type { Verifier } from "../access/verifier.ts";
import { type ErrorCode, TaskiqError } from "../errors.ts";
import type { App } from "./app.ts";
import { ANYBODY, requireScope } from "./caller.ts";
import { problems } from "./docs.ts";
import { DOCS_PREFIX, SECURITY_SCHEME } from "./openapi.ts";

const REALM = 'Bearer realm="taskiq-aws"';
const REFUSALS = {
  key_missing: "expected the header Authorization: Bearer <key>, got none.",
  key_invalid: "expected a key of this deployment, got something else. Check that it is whole.",
  key_expired: "expected a key that has not expired.",
  key_revoked: "expected a key that has not been revoked.",
} as const satisfies Partial<Record<ErrorCode, string>>;
const ADVICE =
  "An admin makes one with taskiq-aws key create, whoever has the database the first one with taskiq-aws keygen.";

/** Before any route is added. `verifier` null: nobody is asked (`TASKIQ_API_AUTH=none`). */
export function guardRoutes(app: App, verifier: Verifier | null): void {
  app.decorateRequest("caller", undefined);
  app.addHook("onRoute", (route) => {
    const scope = scopeOf(route);
    if (scope === undefined) {
      throw new Error(
        `${route.method} ${route.url}: expected config.scope, got none. Say what a key must allow, or null for everybody.`,
      );
    }
    if (scope === null) return;
    // The document says what the hook below does.
    route.schema = {
      ...route.schema,
      security: [{ [SECURITY_SCHEME]: scope === "any" ? [] : [scope] }],
      response: { ...ACCESS_PROBLEMS, ...responsesOf(route) },
    };
  });
  app.addHook("onRequest", async (request, reply) => {
    if (request.is404) return;
    const { scope, allTenants } = request.routeOptions.config;
    // Undefined: the pages under /docs, whose routes are not ours.
    if (scope === null || scope === undefined) return;
    const caller = verifier === null ? ANYBODY : await identify(request, reply, verifier);
    try {
      if (scope !== "any") requireScope(caller, scope);
    } catch (error) {
      reply.header("www-authenticate", `${REALM}, error="insufficient_scope", scope="${scope}"`);
      throw error;
    }
    if (allTenants === true && caller.tenant !== HOME_TENANT) throw homeOnly(caller.tenant);
    request.caller = caller;
  });
}

const ACCESS_PROBLEMS = problems(
  "key_missing",
  "key_invalid",
  "key_expired",
  "key_revoked",
  "scope_missing",
  "home_only",
);

/**
 * Open on purpose: a browser that opens `/docs` sends no key. The document describes the code and has no data; task names are left out of it
 * where keys are asked for.
 */
function scopeOf({ url, config }: RouteOptions) {
  return url === DOCS_PREFIX || url.startsWith(`${DOCS_PREFIX}/`) ? null : config?.scope;
}

function responsesOf({ schema }: RouteOptions): object {
  return typeof schema?.response === "object" && schema.response !== null ? schema.response : {};
}

async function identify(request: FastifyRequest, reply: FastifyReply, verifier: Verifier) {
  const { authorization } = request.headers;
  if (authorization === undefined) throw unauthenticated(reply, "key_missing");
  // The scheme is compared without case (RFC 9110); a key has no white space.
  const [, text] = /^bearer +(\S{1,200}) *$/i.exec(authorization) ?? [];
  if (text === undefined) throw unauthenticated(reply, "key_invalid");
  const verdict = await verifier.verify(text);
  if (verdict.kind === "refused") throw unauthenticated(reply, verdict.code);
  return verdict.caller;
}

function unauthenticated(reply: FastifyReply, code: keyof typeof REFUSALS): TaskiqError {
  // RFC 6750: no error where there was no key.
  reply.header("www-authenticate", code === "key_missing" ? REALM : `${REALM}, error="invalid_token"`);
  return new TaskiqError(code, `${REFUSALS[code]} ${ADVICE}`);
}

function homeOnly(tenant: string): TaskiqError {
  return new TaskiqError(
    "home_only",
    `expected a key of the tenant ${HOME_TENANT}, as this concerns all tenants, got one of ${tenant}.`,
  );
}
