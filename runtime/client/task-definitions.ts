/** The tasks of a deployment that can be submitted. */
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";

export type TaskDefinitionView = {
  readonly name: string;
  readonly description: string | null;
  /** Unless a request names another. */
  readonly queue: string;
  /** -100..100, unless a request gives another. */
  readonly priority: number;
  /** Longest run of one attempt. */
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  readonly isolation: "inline" | "process";
  /** JSON schema of the input. */
  readonly inputSchema: unknown;
};

/** In the order of their names. @param refuse throws the error of an answer that this API cannot have given */
export async function readTaskDefinitions(
  requester: Requester,
  refuse: (text: string) => never,
): Promise<readonly TaskDefinitionView[]> {
  const text = await requester.send({ method: "GET", path: "/v1/task-definitions" });
  const tasks = jsonObject(text)?.tasks;
  if (!Array.isArray(tasks)) return refuse(text);
  return tasks.map((task) => readDefinition(task) ?? refuse(text));
}

type Body = Omit<TaskDefinitionView, "timeoutMs" | "maxAttempts" | "inputSchema"> & {
  timeout_ms: number;
  max_attempts: number;
  input_schema: unknown;
};

function readDefinition(value: unknown): TaskDefinitionView | undefined {
  if (typeof value !== "object" || value === null || !("name" in value) || !("max_attempts" in value)) return undefined;
  // Whoever answers with a name and attempts is the API, which keeps to its OpenAPI description.
  const { timeout_ms: timeoutMs, max_attempts: maxAttempts, input_schema: inputSchema, ...rest } = value as Body;
  return { ...rest, timeoutMs, maxAttempts, inputSchema };
}
