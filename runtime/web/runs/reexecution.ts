/**
 * What a re-execution will run again and what it keeps, before anybody has asked for it. The API decides by the same rules
 * (flow/reexecute-run.ts): this is for showing them, and for saying early what it would refuse.
 */
import { elementAt, type LiveRun } from "./live-run.ts";
import { BLOCKED_STEP } from "./live-step.ts";

/** `chosen`: places; of those in `downstream` all that comes after them as well. */
export type Choice =
  | { readonly kind: "from_failure" }
  | { readonly kind: "all" }
  | { readonly kind: "chosen"; readonly places: ReadonlySet<number>; readonly downstream: boolean };

export type Reexecution = {
  /** Places of the steps that run again, in the order of the work. */
  readonly repeated: readonly number[];
  /** Elements that run again of mapped steps whose other elements are kept, by place. */
  readonly elements: ReadonlyMap<number, number>;
  readonly kept: number;
  /** Why it cannot be asked for; null: it can. */
  readonly problem: string | null;
};

/** As the API has it. */
export const MAX_CHOSEN = 1_000;

export function planReexecution(run: LiveRun, choice: Choice): Reexecution {
  switch (choice.kind) {
    case "all":
      return planned(run, new Set(run.shape.order), new Map(), null);
    case "from_failure":
      return fromFailure(run);
    case "chosen":
      return chosen(run, choice.places, choice.downstream);
  }
}

/** As the API takes it. */
export function stepsOfChoice(run: LiveRun, choice: Choice): "from_failure" | "all" | string[] {
  if (choice.kind !== "chosen") return choice.kind;
  return [...choice.places].map((place) => `${run.shape.steps[place]?.key ?? ""}${choice.downstream ? "*" : ""}`);
}

function planned(
  run: LiveRun,
  repeated: ReadonlySet<number>,
  elements: ReadonlyMap<number, number>,
  problem: string | null,
): Reexecution {
  const inOrder = run.shape.order.filter((place) => repeated.has(place));
  return { repeated: inOrder, elements, kept: run.steps.length - inOrder.length, problem };
}

function fromFailure(run: LiveRun): Reexecution {
  const repeated = new Set<number>();
  const elements = new Map<number, number>();
  for (const place of run.shape.order) {
    const { state } = run.steps[place] ?? BLOCKED_STEP;
    const waitsForRepeated = (run.shape.parents[place] ?? []).some((parent) => repeated.has(parent.place));
    // What its own condition skipped is skipped again; what a failure skipped is not.
    if (state === "succeeded" || (state === "skipped" && !waitsForRepeated)) continue;
    repeated.add(place);
    const own = run.elements.get(place);
    if (own !== undefined && own.total > 0 && !waitsForRepeated) elements.set(place, openElements(run, place));
  }
  const problem = repeated.size === 0 ? "All steps succeeded. Run all of them again, or choose some." : null;
  return planned(run, repeated, elements, problem);
}

function openElements(run: LiveRun, place: number): number {
  const elements = run.elements.get(place);
  if (elements === undefined) return 0;
  let open = 0;
  for (let index = 0; index < elements.total; index++) {
    if (elementAt(elements, index).state !== "succeeded") open++;
  }
  return open;
}

function chosen(run: LiveRun, places: ReadonlySet<number>, downstream: boolean): Reexecution {
  const repeated = new Set(places);
  for (const place of run.shape.order) {
    const parents = run.shape.parents[place] ?? [];
    if (downstream && parents.some((parent) => repeated.has(parent.place))) repeated.add(place);
  }
  if (repeated.size === 0) return planned(run, repeated, new Map(), "Choose at least one step.");
  for (const place of run.shape.order) {
    if (!repeated.has(place)) continue;
    const missing = (run.shape.parents[place] ?? []).find(
      (parent) => !parent.optional && !repeated.has(parent.place) && run.steps[parent.place]?.state !== "succeeded",
    );
    if (missing === undefined) continue;
    const keyOf = (at: number) => run.shape.steps[at]?.key ?? "";
    const state = run.steps[missing.place]?.state ?? "blocked";
    const problem = `${keyOf(place)} needs ${keyOf(missing.place)}, which did not succeed (${state}). Choose it as well.`;
    return planned(run, repeated, new Map(), problem);
  }
  return planned(run, repeated, new Map(), null);
}
