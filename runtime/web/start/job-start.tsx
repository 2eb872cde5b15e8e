/** Starts a run of a job, and shows the graph that it will go through. */
import { useRef, useState } from "react";
import type { JobSummary } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { ButtonLink } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { SelectField } from "../components/field.tsx";
import { countedNoun } from "../components/number-text.ts";
import { Page } from "../components/page.tsx";
import { navigate } from "../route/hash-location.ts";
import { useParams } from "../route/params.ts";
import { GraphPreview } from "../runs/graph-preview.tsx";
import { StartForm } from "./start-form.tsx";
import { initialOf } from "./start-initial.ts";
import type { Options } from "./start-options.ts";

type Mode = "orchestrated" | "simple";

const MODES = {
  orchestrated: "orchestrated: each step is a task",
  simple: "simple: one worker does all steps",
} as const;

export function JobStart({ job }: { readonly job: JobSummary }) {
  const { client } = useApi();
  const [params] = useParams();
  const [mode, setMode] = useState<Mode>(job.mode);
  const started = useRef("");
  const { name, description, priority, stepCount } = job;
  const whole = usePolled({ key: ["job", name], look: () => client.jobs.get(name), everyMs: false });
  const labels = Object.entries(job.labels).map(([label, value]) => `${label}=${value}`);

  async function start(input: unknown, { priority: given, labels: more, idempotencyKey }: Options) {
    const { runId } = await client.runs.start(
      {
        job: name,
        input,
        ...(mode !== job.mode && { mode }),
        ...(given !== undefined && { priority: given }),
        ...(more !== undefined && { labels: more }),
      },
      idempotencyKey === undefined ? {} : { idempotencyKey },
    );
    started.current = runId;
    return { title: `Run of ${name} started`, link: { label: "Open the run", href: `/runs/${runId}` } };
  }
  return (
    <Page
      title={`Start ${name}`}
      heading={
        <>
          Start the job <span className="mono">{name}</span>
        </>
      }
      crumbs={[{ label: "Start", href: "/start" }]}
      actions={<ButtonLink href={`/runs?job=${encodeURIComponent(name)}`}>Its runs</ButtonLink>}
    >
      {description !== null && <p className="muted">{description}</p>}
      {whole.data !== undefined && (
        <Card title="Graph" aside={countedNoun(stepCount, "step")} flush>
          <GraphPreview graph={whole.data.graph} />
        </Card>
      )}
      <StartForm
        inputSchema={job.inputSchema}
        initial={initialOf(params.get("input"))}
        options={{ priority: String(priority), key: "a new one each time", labels: labels.join("\n") || "team=data" }}
        moreOptions={
          <div className="option-more">
            <SelectField
              label="Mode"
              value={mode}
              // The choices are modes.
              onChange={(value) => setMode(value as Mode)}
              choices={Object.entries(MODES)}
            />
          </div>
        }
        summary={`Starts one run of ${countedNoun(stepCount, "step")}; steps over a list have more.`}
        label="Start the run"
        start={start}
        onStarted={() => navigate(`/runs/${started.current}`)}
      />
    </Page>
  );
}
