/** A state as icon and word, so that nobody needs to tell its colour. */
import "./state-badge.css";
import Ban from "lucide-react/icons/ban";
import Check from "lucide-react/icons/check";
import CircleDashed from "lucide-react/icons/circle-dashed";
import Clock from "lucide-react/icons/clock";
import Hourglass from "lucide-react/icons/hourglass";
import LoaderCircle from "lucide-react/icons/loader-circle";
import Pause from "lucide-react/icons/pause";
import Redo from "lucide-react/icons/redo-2";
import SkipForward from "lucide-react/icons/skip-forward";
import Unplug from "lucide-react/icons/unplug";
import X from "lucide-react/icons/x";

/** Of tasks, steps, runs, attempts, workers and schedules. */
export type ShownState =
  | "blocked"
  | "queued"
  | "running"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "skipped"
  | "retried"
  | "lost"
  | "released"
  | "alive"
  | "draining"
  | "active"
  | "paused"
  | "disabled"
  | "stalled";

const LOOKS: Readonly<Record<ShownState, readonly [Tone, typeof Check]>> = {
  blocked: ["blocked", Hourglass],
  queued: ["queued", Clock],
  running: ["running", LoaderCircle],
  succeeded: ["succeeded", Check],
  failed: ["failed", X],
  cancelled: ["cancelled", Ban],
  skipped: ["skipped", SkipForward],
  retried: ["queued", Redo],
  lost: ["failed", Unplug],
  released: ["cancelled", CircleDashed],
  alive: ["succeeded", Check],
  draining: ["queued", Hourglass],
  active: ["succeeded", Check],
  paused: ["queued", Pause],
  disabled: ["failed", Ban],
  stalled: ["failed", Hourglass],
};

export type Tone = "succeeded" | "failed" | "running" | "queued" | "blocked" | "cancelled" | "skipped";

/** The colour family of a state: `var(--TONE)`, `var(--TONE-text)`, `var(--TONE-tint)`. */
export function toneOf(state: ShownState): Tone {
  return LOOKS[state][0];
}

export type StateBadgeProps = {
  readonly state: ShownState;
  /** Default: the state. */
  readonly label?: string;
  /** `icon`: the word is for screen readers and on hover only. Default `full`. */
  readonly size?: "full" | "icon";
};

export function StateBadge({ state, label = state, size = "full" }: StateBadgeProps) {
  const tone = toneOf(state);
  return (
    <span className={`state-badge state-${tone} ${size === "icon" ? "state-icon-only" : ""}`} title={label}>
      <StateIcon state={state} />
      <span className={size === "icon" ? "unseen" : undefined}>{label}</span>
    </span>
  );
}

/** The icon alone, beside a word that says the same. */
export function StateIcon({ state, size = 13 }: { readonly state: ShownState; readonly size?: number }) {
  const Icon = LOOKS[state][1];
  return <Icon size={size} strokeWidth={2.4} aria-hidden="true" className={state === "running" ? "turning" : ""} />;
}
