/** What of a run is to run again: from what failed, all of it, or steps chosen in the graph; and what that comes to. */
import "./reexecute-bar.css";
import RotateCcw from "lucide-react/icons/rotate-ccw";
import X from "lucide-react/icons/x";
import { useRef } from "react";
import type { Run } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { ActionButton } from "../components/action-button.tsx";
import { Button } from "../components/button.tsx";
import { CheckField } from "../components/field.tsx";
import { countedNoun } from "../components/number-text.ts";
import { navigate } from "../route/hash-location.ts";
import { useParams } from "../route/params.ts";
import type { LiveRun } from "./live-run.ts";
import { type Choice, MAX_CHOSEN, type Reexecution, stepsOfChoice } from "./reexecution.ts";
import { runHref } from "./run-columns.tsx";

export type ReexecuteBarProps = {
  readonly run: Run;
  readonly live: LiveRun;
  readonly choice: Choice;
  readonly plan: Reexecution;
};

const KINDS = [
  ["from_failure", "From failure"],
  ["chosen", "Chosen steps"],
  ["all", "All steps"],
] as const;

export function ReexecuteBar({ run, live, choice, plan }: ReexecuteBarProps) {
  const { client } = useApi();
  const [, change] = useParams();
  const started = useRef("");
  const problem = problemOf(choice, plan);
  return (
    <section className="again-bar" aria-label="Run again">
      <fieldset className="again-kinds">
        <legend className="unseen">What runs again</legend>
        {KINDS.map(([kind, text]) => (
          <Button key={kind} size="small" pressed={choice.kind === kind} onClick={() => change({ again: kind })}>
            {text}
          </Button>
        ))}
      </fieldset>
      {choice.kind === "chosen" && (
        <CheckField
          label="with all that comes after them"
          checked={choice.downstream}
          onChange={(checked) => change({ after: checked ? null : "no" })}
        />
      )}
      <p className="again-text" aria-live="polite">
        {problem ?? planText(plan)}
        {choice.kind === "chosen" && choice.places.size === 0 && " Click steps in the graph."}
      </p>
      <span className="again-ends">
        <ActionButton
          label="Run again"
          icon={RotateCcw}
          look="primary"
          size="small"
          refusal={problem}
          confirm={{ title: "Run this again?", body: <PlanBody plan={plan} live={live} />, label: "Start the new run" }}
          act={async () => {
            const { runId } = await client.runs.reexecute(run.runId, { steps: stepsOfChoice(live, choice) });
            started.current = runId;
            return {
              title: "A new run has started",
              detail: planText(plan),
              link: { label: "Open the new run", href: runHref(runId) },
            };
          }}
          onDone={() => navigate(runHref(started.current))}
        />
        <Button
          size="small"
          look="quiet"
          icon={X}
          label="Stop choosing"
          onClick={() => change({ again: null, only: null, after: null })}
        />
      </span>
    </section>
  );
}

function problemOf(choice: Choice, plan: Reexecution): string | null {
  if (choice.kind === "chosen" && choice.places.size > MAX_CHOSEN) {
    return `At most ${MAX_CHOSEN.toLocaleString("en-US")} steps can be chosen; choose earlier ones with all that comes after them.`;
  }
  return plan.problem;
}

function planText({ repeated, kept }: Reexecution): string {
  const keeps =
    kept === 0 ? "" : `, ${kept === 1 ? "1 result is" : `${kept.toLocaleString("en-US")} results are`} kept`;
  return `${countedNoun(repeated.length, "step")} will run again${keeps}.`;
}

const MOST_NAMED = 12;

function PlanBody({ plan, live }: { readonly plan: Reexecution; readonly live: LiveRun }) {
  const named = plan.repeated.slice(0, MOST_NAMED);
  return (
    <>
      <p>
        A new run of the same graph and input starts. <strong>{planText(plan)}</strong> This run stays as it is.
      </p>
      <ul className="again-list">
        {named.map((place) => {
          const elements = plan.elements.get(place);
          return (
            <li key={place}>
              <code>{live.shape.steps[place]?.key}</code>
              {elements !== undefined && ` (${countedNoun(elements, "element")} of it)`}
            </li>
          );
        })}
        {plan.repeated.length > named.length && (
          <li className="faint">and {countedNoun(plan.repeated.length - named.length, "more step")}</li>
        )}
      </ul>
    </>
  );
}
