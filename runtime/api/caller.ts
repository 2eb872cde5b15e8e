/** Who a request comes from, and what it may do. Every route says which scope it needs; access.ts makes sure that the caller has it. */
import type { FastifyRequest } from "fastify";
import { allows, type Caller, HOME_TENANT, SCOPES, type Scope } from "../access/scope.ts";
import { TaskiqError } from "../errors.ts";

export type { Caller } from "../access/scope.ts";

/** Where no keys are asked for (`TASKIQ_API_AUTH=none`). */
export const ANYBODY: Caller = { tenant: HOME_TENANT, scopes: SCOPES, name: "anonymous", label: "anonymous" };

declare module "fastify" {
  interface FastifyContextConfig {
    /**
     * What the caller must be allowed to do; `any`: whoever has a key may; `null`: everybody may, also without one. A route without it does not
     * start the server.
     */
    scope?: Scope | "any" | null;
    /** What the route shows or changes belongs to all tenants, such as a queue: only keys of the tenant `default` may. */
    allTenants?: true;
  }
  interface FastifyRequest {
    /** Set by access.ts before the handler runs, where the route asks for a scope. */
    caller?: Caller | undefined;
  }
}

/** The caller of a route that asks for a scope. */
export function callerOf(request: FastifyRequest): Caller {
  const { caller } = request;
  // Never a default: a request that was not checked must not become anybody's.
  if (caller === undefined) throw new Error(`expected a caller, ${request.routeOptions.url} asks for no scope`);
  return caller;
}

/** The tenant that a caller's view ends at; null: it sees all. */
export function viewOf({ tenant }: Caller): string | null {
  return tenant === HOME_TENANT ? null : tenant;
}

/** Throws TaskiqError `scope_missing`. */
export function requireScope(caller: Caller, scope: Scope): void {
  if (allows(caller, scope)) return;
  throw new TaskiqError(
    "scope_missing",
    `expected a key with the scope ${scope}, this one has ${caller.scopes.join(", ")}. Use another key, or have one made: taskiq-aws key create.`,
    { details: { scope } },
  );
}

/** Tasks that run a program of the caller's choice need more than `enqueue`. Throws TaskiqError `scope_missing`. */
export function requireTaskScopes(caller: Caller, taskNames: Iterable<string>): void {
  for (const name of taskNames) if (name === COMMAND_TASK) requireScope(caller, "command");
}

/** The name of runtime/tasks/command.ts; a test compares them. */
export const COMMAND_TASK = "command";
