/**
 * Holds what a role's policy allows against what the role was seen to do: each call must be allowed, and nothing may be allowed
 * that no call needed, neither another action nor a wider resource.
 */
import type { Permission } from "./permissions.ts";

export type Grant = {
  readonly action: string;
  /** An ARN, in which `*` stands for any characters. */
  readonly resource: string;
  /** Operator, then condition key, then the values of which one must match. */
  readonly condition: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
};

/** A grant that no test can use yet. */
export type Exception = Pick<Grant, "action" | "resource"> & { readonly reason: string };

export type Comparison = {
  readonly permissions: readonly Permission[];
  readonly grants: readonly Grant[];
  readonly exceptions?: readonly Exception[];
  /** Values of condition keys in every request. */
  readonly context?: Readonly<Record<string, string>>;
};

type Statement = {
  readonly Effect: string;
  readonly Action?: string | readonly string[];
  readonly Resource?: string | readonly string[];
  readonly Condition?: Grant["condition"];
};

/** One grant for each action and resource of a policy document. Throws for what cannot be held against single calls. */
export function grantsOf(policy: string): Grant[] {
  // A policy document; what a test does not expect of it is refused below.
  const { Statement: statements } = JSON.parse(policy) as { Statement: readonly Statement[] };
  return statements.flatMap(({ Effect, Action, Resource, Condition = {} }) => {
    if (Effect !== "Allow" || Action === undefined || Resource === undefined) {
      throw new Error(`expected statements that allow actions on resources, got ${Effect} without one of them`);
    }
    return list(Action).flatMap((action) =>
      list(Resource).map((resource) => ({ action, resource, condition: Condition })),
    );
  });
}

/** What does not fit, a line each; none where the policy allows exactly what was done. */
export function compare({ permissions, grants, exceptions = [], context = {} }: Comparison): string[] {
  const done = distinct(permissions);
  const used = new Set<Exception>();
  const missing = done
    .filter((one) => !grants.some((grant) => allows(grant, one, context)))
    .map(({ action, resource }) => `not allowed: ${action} on ${resource}`);
  const needless = grants.flatMap((grant) => {
    const { action, resource } = grant;
    const calls = done.filter((one) => one.action === action);
    if (calls.some(({ widest }) => covers(widest, resource))) return [];
    if (calls.some((one) => covers(resource, one.resource))) {
      const enough = [...new Set(calls.filter((one) => covers(resource, one.resource)).map(({ widest }) => widest))];
      return [`wider than needed: ${action} on ${resource}, where ${enough.join(" and ")} is enough`];
    }
    const exception = exceptions.find((one) => one.action === action && one.resource === resource);
    if (exception === undefined) return [`never needed: ${action} on ${resource}`];
    used.add(exception);
    return [];
  });
  const stale = exceptions
    .filter((one) => !used.has(one))
    .map(({ action, resource }) => `exception without a grant, or for one that is used: ${action} on ${resource}`);
  return [...missing, ...needless, ...stale];
}

function allows(
  { action, resource, condition }: Grant,
  permission: Permission,
  context: Readonly<Record<string, string>>,
): boolean {
  return action === permission.action && covers(resource, permission.resource) && holds(condition, context);
}

/** Whether everything that `narrow` stands for is also meant by `wide`. */
function covers(wide: string, narrow: string): boolean {
  const [first = "", ...rest] = wide.split("*").map((text) => text.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${[first, ...rest].join(".*")}$`, "s").test(narrow);
}

function holds(condition: Grant["condition"], context: Readonly<Record<string, string>>): boolean {
  return Object.entries(condition).every(([operator, keys]) => {
    if (operator !== "StringEquals") throw new Error(`expected conditions with StringEquals only, got ${operator}`);
    return Object.entries(keys).every(([key, values]) => list(values).some((value) => value === context[key]));
  });
}

function distinct(permissions: readonly Permission[]): Permission[] {
  return [...new Map(permissions.map((one) => [`${one.action} ${one.resource}`, one])).values()];
}

function list<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T];
}
