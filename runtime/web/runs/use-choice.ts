/** Which steps are to run again, as it stands in the address: `again=chosen&only=load&only=report`. */
import { useCallback, useMemo } from "react";
import { useParams } from "../route/params.ts";
import type { Choice } from "./reexecution.ts";
import type { RunShape } from "./run-shape.ts";

export type ChoiceState = {
  /** Null: nobody is choosing. */
  readonly choice: Choice | null;
  /** Takes steps in that are not chosen; takes them out where all are. */
  toggle(places: readonly number[]): void;
};

export function useChoice(shape: RunShape): ChoiceState {
  const [params, change] = useParams();
  const choice = useMemo(() => choiceOf(params, shape), [params, shape]);
  const toggle = useCallback(
    (places: readonly number[]) => {
      const before = choice?.kind === "chosen" ? choice.places : new Set<number>();
      const isOut = places.every((place) => before.has(place));
      const after = new Set(before);
      for (const place of places) isOut ? after.delete(place) : after.add(place);
      change({ only: [...after].flatMap((place) => shape.steps[place]?.key ?? []) });
    },
    [choice, change, shape],
  );
  return { choice, toggle };
}

export function choiceOf(params: URLSearchParams, shape: RunShape): Choice | null {
  switch (params.get("again")) {
    case "from_failure":
      return { kind: "from_failure" };
    case "all":
      return { kind: "all" };
    case "chosen": {
      const places = new Set(params.getAll("only").flatMap((key) => shape.placeOf.get(key) ?? []));
      return { kind: "chosen", places, downstream: params.get("after") !== "no" };
    }
    default:
      return null;
  }
}
