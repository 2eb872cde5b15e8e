/** What can be done with a run. */
import Ban from "lucide-react/icons/ban";
import BellRing from "lucide-react/icons/bell-ring";
import Play from "lucide-react/icons/play";
import RotateCcw from "lucide-react/icons/rotate-ccw";
import { useState } from "react";
import type { Run } from "../../client/index.ts";
import { NO_STEPS, type RunState } from "../../model/run.ts";
import { useApi } from "../api/api-provider.tsx";
import { useRefusal } from "../api/session.tsx";
import { ActionButton } from "../components/action-button.tsx";
import { Button, ButtonLink } from "../components/button.tsx";
import { TextField } from "../components/field.tsx";
import { countedNoun } from "../components/number-text.ts";
import { useParams } from "../route/params.ts";
import type { LiveRun } from "./live-run.ts";

export type RunActionsProps = { readonly run: Run; readonly live: LiveRun; readonly state: RunState };

/** An address gets no longer than this. */
const MOST_INPUT_CHARS = 4_000;

export function RunActions({ run, live, state }: RunActionsProps) {
  const isOver = state !== "running";
  return (
    <>
      {isOver && run.job !== null && (
        <ButtonLink href={againHref(run.job, run.input)} icon={Play}>
          Start anew
        </ButtonLink>
      )}
      <AgainButton isOver={isOver} state={state} />
      {!isOver && <ResumeButton run={run} />}
      {!isOver && <CancelButton run={run} live={live} />}
    </>
  );
}

/** The form of the job, with the input of this run. */
function againHref(job: string, input: unknown): string {
  const text = JSON.stringify(input ?? null);
  const query = input === null || text.length > MOST_INPUT_CHARS ? "" : `?input=${encodeURIComponent(text)}`;
  return `/start/job/${encodeURIComponent(job)}${query}`;
}

function AgainButton({ isOver, state }: { readonly isOver: boolean; readonly state: RunState }) {
  const [params, change] = useParams();
  const refusal = useRefusal("operate");
  const isChoosing = params.has("again");
  return (
    <Button
      icon={RotateCcw}
      look={state === "failed" && !isChoosing ? "primary" : "plain"}
      pressed={isChoosing && isOver}
      refusal={refusal ?? (isOver ? null : "The run is not over. Cancel it, or wait for its end.")}
      onClick={() =>
        change({ tab: "graph", again: isChoosing ? null : state === "succeeded" ? "all" : "from_failure", only: null })
      }
    >
      Re-execute
    </Button>
  );
}

function ResumeButton({ run }: { readonly run: Run }) {
  const { client } = useApi();
  return (
    <ActionButton
      label="Resume"
      icon={BellRing}
      confirm={{
        title: "Ring again for what waits?",
        body: "Every queued step gets a new message. That happens by itself after a while, and harms nothing: a step that runs is left alone.",
      }}
      act={async () => {
        const { rung } = await client.runs.resume(run.runId);
        return { title: rung === 0 ? "Nothing waits to be rung for" : `Rang for ${countedNoun(rung, "step")}` };
      }}
    />
  );
}

function CancelButton({ run, live }: { readonly run: Run; readonly live: LiveRun }) {
  const { client } = useApi();
  const [reason, setReason] = useState("");
  const { blocked, queued, running } = live.counts ?? NO_STEPS;
  return (
    <ActionButton
      label="Cancel"
      icon={Ban}
      look="danger"
      refusal={run.cancelRequested ? "It is being cancelled." : null}
      confirm={{
        title: "Cancel this run?",
        label: "Cancel the run",
        danger: true,
        body: (
          <>
            <p>
              <strong>{countedNoun(running, "running step")}</strong> will be stopped and{" "}
              <strong>{countedNoun(queued + blocked, "waiting step")}</strong> cancelled. What has succeeded stays.
            </p>
            <TextField label="Reason" note="For whoever looks at the run later" value={reason} onChange={setReason} />
          </>
        ),
      }}
      act={async () => {
        const { state } = await client.runs.cancel(run.runId, reason.trim() === "" ? {} : { reason: reason.trim() });
        return { title: state === "running" ? "The run is being stopped" : "The run is cancelled" };
      }}
    />
  );
}
