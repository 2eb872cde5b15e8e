/** What a graph has to know of the tasks: their schemas, as zod says them. */

import { z } from "zod";
import { issuesOf } from "../issues.ts";
import type { GraphIssue, TaskShape, TaskShapes } from "../model/task-shape.ts";
import type { Registry } from "./registry.ts";
import type { TaskDefinition } from "./task.ts";

/** The shapes of all tasks: each is made when it is first asked for, and kept. */
export function shapesOf(registry: Registry): TaskShapes {
  const shapes = new Map<string, TaskShape>();
  const names = [...registry.keys()];
  return {
    names: () => names,
    get(name) {
      const known = shapes.get(name);
      if (known !== undefined) return known;
      const definition = registry.get(name);
      if (definition === undefined) return undefined;
      const shape = shapeOf(definition);
      shapes.set(name, shape);
      return shape;
    },
  };
}

function shapeOf({ input, output }: TaskDefinition): TaskShape {
  const inputSchema = lazily(() => jsonSchemaOf(input, "input"));
  const outputSchema = lazily(() => (output === undefined ? null : jsonSchemaOf(output, "output")));
  return {
    checkInput: (value, unknownPaths) => checkInput(input, value, unknownPaths),
    get inputSchema() {
      return inputSchema();
    },
    get outputSchema() {
      return outputSchema();
    },
  };
}

function checkInput(
  schema: z.ZodType,
  value: unknown,
  unknownPaths: readonly (readonly string[])[],
): readonly GraphIssue[] {
  // All of it is unknown.
  if (unknownPaths.some((path) => path.length === 0)) return [];
  let checked: z.ZodSafeParseResult<unknown>;
  try {
    if (unknownPaths.length > 0 && !hasCertainIssue(schema, value, unknownPaths)) return [];
    checked = schema.safeParse(value);
  } catch (error) {
    // A schema with code of its own that does not expect a gap. Without gaps it would throw for the task as well.
    if (unknownPaths.length > 0) return [];
    throw error;
  }
  if (checked.success) return [];
  const certain = checked.error.issues.filter((issue) => isCertain(issue, unknownPaths));
  return certain.length === 0 ? [] : issuesOf(new z.ZodError(certain));
}

/**
 * As `safeParse`, which would make a message and a stack for each gap: in a graph of ten thousand steps that takes ten times as long as to find that
 * nothing is certain.
 */
function hasCertainIssue(schema: z.ZodType, value: unknown, unknownPaths: readonly (readonly string[])[]): boolean {
  const looked = schema._zod.run({ value, issues: [] }, { async: false });
  if (looked instanceof Promise) return true;
  return looked.issues.some((issue) => isCertain({ code: issue.code, path: issue.path ?? [] }, unknownPaths));
}

/** Whether it stays wrong whatever comes in the unknown places. */
function isCertain(
  issue: Pick<z.core.$ZodIssue, "path"> & { code?: string },
  unknownPaths: readonly (readonly string[])[],
): boolean {
  if (unknownPaths.length === 0) return true;
  // Code of the author's may have looked at any place and named another.
  if (issue.code === "custom") return false;
  return !unknownPaths.some((path) => {
    const names = issue.path.slice(0, path.length);
    const isOneWay = names.every((name, index) => String(name) === path[index]);
    return isOneWay && (issue.path.length >= path.length || issue.code === "invalid_union");
  });
}

/** Null where zod cannot say it. A registry of its own: in the global one the names of two tasks' schemas may collide. */
function jsonSchemaOf(schema: z.ZodType, io: "input" | "output"): object | null {
  try {
    return z.toJSONSchema(schema, { io, unrepresentable: "any", metadata: z.registry() });
  } catch {
    return null;
  }
}

function lazily<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
