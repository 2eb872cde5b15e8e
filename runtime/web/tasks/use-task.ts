/** One task as it is now: read once, then told by the API what changes. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { Task, TaskEvent } from "../../client/index.ts";
import { isTerminal } from "../../model/task.ts";
import { useApi } from "../api/api-provider.tsx";
import { useVisible } from "../api/use-visible.ts";

/** How often the API looks on behalf of this page. */
const REFRESH_MS = 1_000;

export function useTask(id: string) {
  const { client } = useApi();
  const queries = useQueryClient();
  const isVisible = useVisible();
  const query = useQuery({ queryKey: ["task", id], queryFn: () => client.get(id) });
  const isOver = query.data === undefined ? null : isTerminal(query.data.state);

  useEffect(() => {
    // Nothing is told of a task that is over; one that is queued again by this page is read again, and then followed.
    if (isOver !== false || !isVisible) return;
    const leaving = new AbortController();
    const follow = async () => {
      for await (const event of client.tasks.events(id, { signal: leaving.signal, refreshMs: REFRESH_MS })) {
        queries.setQueryData<Task>(["task", id], (task) => task && withEvent(task, event));
        // Its attempts, its error and its result are not told.
        if (event.kind !== "progress") void queries.invalidateQueries({ queryKey: ["task", id] });
      }
    };
    // Away for longer than the client waits: the next look of the page says why.
    follow().catch(() => {
      if (!leaving.signal.aborted) void queries.invalidateQueries({ queryKey: ["task", id] });
    });
    return () => leaving.abort();
  }, [client, queries, id, isOver, isVisible]);
  return query;
}

export function withEvent(task: Task, event: TaskEvent): Task {
  switch (event.kind) {
    case "progress":
      return { ...task, attempt: event.attempt, progress: event.progress, progressMessage: event.message };
    case "state": {
      const { state, attempt, failures, losses, worker, cancelRequested } = event;
      return { ...task, state, attempt, failures, losses, worker, cancelRequested };
    }
    case "attempt":
      return task;
  }
}
