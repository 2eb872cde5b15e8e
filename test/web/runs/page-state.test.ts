/** What the address of a run's page means, and what a node shows. */
import { describe, expect, test } from "vitest";
import { foldSteps } from "../../../runtime/web/runs/fold-steps.ts";
import { withEvents } from "../../../runtime/web/runs/live-run.ts";
import { faceOf, facesOf } from "../../../runtime/web/runs/node-face.ts";
import { readRunFilter } from "../../../runtime/web/runs/run-filter.ts";
import { shapeOf } from "../../../runtime/web/runs/run-shape.ts";
import { selectedNode, selectionOf } from "../../../runtime/web/runs/selection.ts";
import { choiceOf } from "../../../runtime/web/runs/use-choice.ts";
import { CREATED_MS, end, expanded, graphOf, layeredSteps, runOf, start } from "./run-factory.ts";

const params = (text: string) => new URLSearchParams(text);
const SHAPE = shapeOf(graphOf({ list: "", each: "list", sum: "each" }));
const GRAPH = foldSteps(SHAPE);

describe("the address selects", () => {
  test("a step, an element of one, or nothing where there is no such step", () => {
    expect(selectionOf(params("step=each"), SHAPE, GRAPH)).toMatchObject({ kind: "step", place: 1, index: null });
    expect(selectionOf(params("step=each[7]"), SHAPE, GRAPH)).toMatchObject({ key: "each[7]", place: 1, index: 7 });
    expect(selectionOf(params("step=gone"), SHAPE, GRAPH)).toBeNull();
    expect(selectionOf(params("step=each[x]"), SHAPE, GRAPH)).toBeNull();
    expect(selectionOf(params(""), SHAPE, GRAPH)).toBeNull();
  });

  test("a group, and the node that a step is in", () => {
    const shape = shapeOf({ steps: layeredSteps(3, 200) });
    const graph = foldSteps(shape);
    const group = selectionOf(params("group=~1:work"), shape, graph);
    expect(group).toMatchObject({ kind: "group" });
    expect(selectedNode(group, graph)).toBe(1);
    expect(selectedNode(selectionOf(params("step=s2-5"), shape, graph), graph)).toBe(2);
    expect(selectionOf(params("group=~9:work"), shape, graph)).toBeNull();
  });

  test("what runs again, with all that comes after unless it says no", () => {
    expect(choiceOf(params("again=from_failure"), SHAPE)).toEqual({ kind: "from_failure" });
    const chosen = choiceOf(params("again=chosen&only=each&only=gone"), SHAPE);
    expect(chosen).toEqual({ kind: "chosen", places: new Set([1]), downstream: true });
    expect(choiceOf(params("again=chosen&after=no"), SHAPE)).toMatchObject({ downstream: false });
    expect(choiceOf(params("again=else"), SHAPE)).toBeNull();
  });

  test("which runs are listed", () => {
    const { filter, issues } = readRunFilter(params("state=failed&state=gone&job=etl&label=a=b&since=1h"), 7_200_000);
    expect(filter).toEqual({ states: ["failed"], job: "etl", labels: { a: "b" }, createdAfter: new Date(3_600_000) });
    expect(issues).toEqual({});
    expect(readRunFilter(params("label=alone"), 0).issues).toHaveProperty("label");
  });
});

describe("a node", () => {
  const run = withEvents(runOf({ list: "", each: "list" }, { each: { map: [], after: ["list"] } }), [
    ...[start("list", 10), end("list", 30), start("each", 40, 2), expanded("each", 4), end("each[0]", 60)],
  ]);
  const nodes = foldSteps(run.shape).nodes;

  test("shows a step with its attempt, and a mapped one with its elements", () => {
    const faces = nodes.map((node) => faceOf(run, node, CREATED_MS));
    expect(faces[0]).toMatchObject({ kind: "step", title: "list", state: "succeeded", isKept: false });
    expect(faces[1]).toMatchObject({ kind: "map", state: "running", attempt: 2, total: 4 });
    expect(faces[1]?.counts).toMatchObject({ succeeded: 1, queued: 3 });
  });

  test("shows a group with its layer", () => {
    const many = runOf(Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`s${at}`, ""])));
    const [group] = foldSteps(many.shape).nodes;
    if (group === undefined) throw new Error("expected a group");
    expect(faceOf(many, group, 0)).toMatchObject({ kind: "group", title: "work", note: "layer 1", total: 400 });
  });

  test("is the same object as before where nothing that it shows has changed", () => {
    const before = facesOf(run, nodes, CREATED_MS, []);
    const after = facesOf(withEvents(run, [end("each[1]", 70)]), nodes, CREATED_MS, before);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
  });
});
