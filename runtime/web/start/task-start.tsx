/** Starts one task. */

import { useRef } from "react";
import type { TaskDefinitionView } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { Page } from "../components/page.tsx";
import { durationText } from "../components/time-text.ts";
import { navigate } from "../route/hash-location.ts";
import { useParams } from "../route/params.ts";
import { StartForm } from "./start-form.tsx";
import { initialOf } from "./start-initial.ts";

export function TaskStart({ task }: { readonly task: TaskDefinitionView }) {
  const { client } = useApi();
  const [params] = useParams();
  const started = useRef("");
  const { name, description, queue, priority, timeoutMs, maxAttempts } = task;
  return (
    <Page
      title={`Run ${name}`}
      heading={
        <>
          Run the task <span className="mono">{name}</span>
        </>
      }
      crumbs={[{ label: "Start", href: "/start" }]}
    >
      {description !== null && <p className="muted">{description}</p>}
      <StartForm
        inputSchema={task.inputSchema}
        initial={initialOf(params.get("input"))}
        options={{ queue, priority: String(priority), delay: "now", key: "a new one each time", labels: "team=data" }}
        summary={`Submits one task. At most ${maxAttempts === 1 ? "one attempt" : `${maxAttempts} attempts`} of ${durationText(timeoutMs)}.`}
        label="Run the task"
        start={async (input, options) => {
          const { taskId } = await client.enqueue(name, input, options);
          started.current = taskId;
          return { title: `Task ${name} submitted`, link: { label: "Open the task", href: `/tasks/${taskId}` } };
        }}
        onStarted={() => navigate(`/tasks/${started.current}`)}
      />
    </Page>
  );
}
