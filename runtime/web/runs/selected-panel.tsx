/** The panel beside the graph: what is selected in it. Escape closes it. */
import "./selected-panel.css";
import X from "lucide-react/icons/x";
import { useEffect, useRef } from "react";
import type { Run } from "../../client/index.ts";
import { isTyping } from "../shell/typing.ts";
import { GroupPanel } from "./group-panel.tsx";
import type { LiveRun } from "./live-run.ts";
import type { Selection } from "./selection.ts";
import { StepPanel } from "./step-panel.tsx";

export type SelectedPanelProps = {
  readonly run: Run;
  readonly live: LiveRun;
  readonly createdMs: number;
  readonly selection: Selection;
  readonly pickStep: (key: string | null) => void;
};

export function SelectedPanel({ run, live, createdMs, selection, pickStep }: SelectedPanelProps) {
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isElsewhere = event.defaultPrevented || isTyping(event) || document.querySelector("dialog[open]") !== null;
      if (event.key === "Escape" && !isElsewhere) pickStep(null);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [pickStep]);
  useEffect(() => {
    // Below the graph where there is no room beside it.
    const box = panel.current?.getBoundingClientRect();
    if (box !== undefined && box.top > innerHeight * 0.8) panel.current?.scrollIntoView({ block: "nearest" });
  }, []);
  const title = selection.kind === "group" ? "Group of steps" : `Step ${selection.key}`;
  return (
    <aside ref={panel} className="card selected-panel" aria-label={title}>
      <button type="button" className="copy selected-close" aria-label="Close the panel" onClick={() => pickStep(null)}>
        <X size={16} aria-hidden="true" />
      </button>
      {selection.kind === "group" ? (
        <GroupPanel live={live} node={selection.node} pickStep={pickStep} />
      ) : (
        <StepPanel run={run} live={live} createdMs={createdMs} selection={selection} pickStep={pickStep} />
      )}
    </aside>
  );
}
