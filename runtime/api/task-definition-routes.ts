/** `/v1/task-definitions`: the tasks that can be submitted, with the schemas of their inputs, as forms and other programs need them. */
import { z } from "zod";
import { allows } from "../access/scope.ts";
import type { Registry } from "../define/registry.ts";
import { isReserved, type TaskDefinition } from "../define/task.ts";
import type { App } from "./app.ts";
import { COMMAND_TASK, callerOf } from "./caller.ts";
import { answer, DOCS } from "./docs.ts";

const DEFINITION = z
  .object({
    name: z.string(),
    description: z.string().nullable(),
    queue: z.string().register(DOCS, { description: "Unless a request names another." }),
    priority: z.int().register(DOCS, { description: "Unless a request gives another." }),
    timeout_ms: z.int().register(DOCS, { description: "Longest run of one attempt." }),
    max_attempts: z.int(),
    isolation: z
      .enum(["inline", "process"])
      .register(DOCS, { description: "In the worker's own process, or in one of its own." }),
    input_schema: z
      .unknown()
      .register(DOCS, { description: "JSON schema of the input; `{}` where it cannot be said so." }),
  })
  .register(DOCS, { id: "TaskDefinition" });

export function taskDefinitionRoutes(app: App, { registry }: { readonly registry: Registry }): void {
  const known = [...registry.values()].filter(({ name }) => !isReserved(name));
  const inOrder = known.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  // Schemas do not change: each is written once.
  const textOf = new Map<string, string>();

  app.get(
    "/v1/task-definitions",
    {
      config: { scope: "read" },
      schema: {
        operationId: "listTaskDefinitions",
        summary: "The tasks that can be submitted, in the order of their names",
        description:
          "The task `command` is among them for keys with its scope. Those of the system itself, `taskiq.…`, are left out.",
        tags: ["tasks"],
        response: { 200: answer("All of them.", z.object({ tasks: z.array(DEFINITION) })) },
      },
    },
    (request, reply) => {
      const caller = callerOf(request);
      const mayCommand = allows(caller, "command");
      const shown = inOrder.filter(({ name }) => mayCommand || name !== COMMAND_TASK);
      for (const task of shown) if (!textOf.has(task.name)) textOf.set(task.name, definitionText(task));
      const texts = shown.map(({ name }) => textOf.get(name));
      return reply.type("application/json").send(`{"tasks":[${texts.join(",")}]}`);
    },
  );
}

function definitionText({ name, description, queue, priority, policy, input }: TaskDefinition): string {
  return JSON.stringify({
    name,
    description: description ?? null,
    queue,
    priority,
    timeout_ms: policy.timeoutMs,
    max_attempts: policy.maxAttempts,
    isolation: policy.isolation,
    input_schema: schemaOf(input),
  });
}

/** A registry of its own: in the global one the names of two tasks' schemas may collide. */
function schemaOf(input: z.ZodType): object {
  try {
    return z.toJSONSchema(input, { io: "input", unrepresentable: "any", metadata: z.registry() });
  } catch {
    return {};
  }
}
