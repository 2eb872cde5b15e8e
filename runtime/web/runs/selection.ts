/** What is selected on the page of a run, as the address says it: a step, an element of a mapped step, or a group of steps. */
import { mappedKeyOf } from "../../model/run.ts";
import type { FoldedGraph, FoldedNode } from "./fold-steps.ts";
import type { RunShape } from "./run-shape.ts";

export type Selection =
  | {
      readonly kind: "step";
      /** Of an element `KEY[index]`. */
      readonly key: string;
      /** Of an element that of its step. */
      readonly place: number;
      /** Null: it is no element. */
      readonly index: number | null;
    }
  | { readonly kind: "group"; readonly node: FoldedNode };

/** Null: nothing, or what this run does not have. */
export function selectionOf(params: URLSearchParams, shape: RunShape, graph: FoldedGraph): Selection | null {
  const key = params.get("step");
  if (key !== null) {
    const mapped = mappedKeyOf(key);
    const place = shape.placeOf.get(mapped ?? key);
    if (place === undefined) return null;
    const index = mapped === null ? null : Number(key.slice(mapped.length + 1, -1));
    return index === null || Number.isSafeInteger(index) ? { kind: "step", key, place, index } : null;
  }
  const id = params.get("group");
  const node = id === null ? undefined : graph.nodes.find((one) => one.id === id && one.places.length > 1);
  return node === undefined ? null : { kind: "group", node };
}

/** The node of the drawing that it is, or is in; null: nothing is selected. */
export function selectedNode(selection: Selection | null, graph: FoldedGraph): number | null {
  if (selection === null) return null;
  return selection.kind === "group" ? graph.nodes.indexOf(selection.node) : (graph.nodeOf[selection.place] ?? null);
}
