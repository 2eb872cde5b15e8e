/** The demonstration's own load: tasks that sleep, through the API of a deployment. */
import { Problem } from "./problem.ts";
import { waitFor } from "./wait.ts";

export type TaskState = { readonly id: string; readonly state: string; readonly worker: string | null };

const TERMINAL = ["succeeded", "failed", "cancelled", "skipped"];
const REQUEST_MS = 20_000;

export function isTerminal({ state }: TaskState): boolean {
  return TERMINAL.includes(state);
}

/** Resolves when the API answers `/readyz`. */
export function waitForApi(apiUrl: string, timeoutMs: number): Promise<boolean> {
  return waitFor(`${apiUrl}/readyz`, timeoutMs, async () => {
    const response = await fetch(`${apiUrl}/readyz`, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Problem(`status ${response.status}`);
    return true;
  });
}

/** Gives the task's id once the API has accepted it. Throws Problem with the answer when it has not. */
export async function submitSleep(apiUrl: string, durationSeconds: number): Promise<string> {
  const response = await fetch(`${apiUrl}/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ duration_seconds: durationSeconds }),
    signal: AbortSignal.timeout(REQUEST_MS),
  });
  const text = await response.text();
  if (response.status !== 202) throw new Problem(`POST ${apiUrl}/tasks: expected 202, got ${response.status}: ${text}`);
  // The shape of an accepted task is the API's contract.
  return (JSON.parse(text) as { task_id: string }).task_id;
}

export async function readTask(apiUrl: string, id: string): Promise<TaskState> {
  const response = await fetch(`${apiUrl}/tasks/${id}`, { signal: AbortSignal.timeout(REQUEST_MS) });
  const text = await response.text();
  if (!response.ok) throw new Problem(`GET ${apiUrl}/tasks/${id}: expected 200, got ${response.status}: ${text}`);
  // The shape of a task is the API's contract.
  const { state, worker } = JSON.parse(text) as { state: string; worker: string | null };
  return { id, state, worker };
}

/** Follows tasks until each has ended, and gives how. `onChange` hears of every change of a state. */
export async function followTasks(
  apiUrl: string,
  ids: readonly string[],
  timeoutMs: number,
  onChange: (task: TaskState) => void = () => {},
): Promise<readonly TaskState[]> {
  const seen = new Map<string, TaskState>();
  await waitFor(`${ids.length} tasks to end`, timeoutMs, async () => {
    for (const id of ids) {
      const before = seen.get(id);
      if (before !== undefined && isTerminal(before)) continue;
      const task = await readTask(apiUrl, id);
      seen.set(id, task);
      if (before?.state !== task.state) onChange(task);
    }
    return [...seen.values()].every(isTerminal) ? true : undefined;
  });
  return [...seen.values()];
}
