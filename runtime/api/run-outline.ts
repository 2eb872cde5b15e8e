/**
 * What the API needs to know of a run's graph: the steps in their order, their ids and parents, and what the result is made of. A graph never
 * changes, and a run is looked at again and again, so the last ones are kept.
 */
import { v5 as uuidv5 } from "uuid";
import { elementKey, type Graph, type Step } from "../model/graph.ts";
import { referencesOf } from "../model/template.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type OutlineStep = {
  /** In the graph, from 0. */
  readonly place: number;
  readonly key: string;
  readonly taskId: string;
  readonly task: string;
  readonly isMapped: boolean;
  /** Keys, each once, in the order of the graph's text. */
  readonly parents: readonly string[];
};

export type RunOutline = {
  readonly steps: readonly OutlineStep[];
  readonly byKey: ReadonlyMap<string, OutlineStep>;
  /** The template of the result; undefined: the results of `ends`, by key. */
  readonly result: unknown;
  /** The steps that no other refers to or comes after. */
  readonly ends: readonly OutlineStep[];
};

export type RunOutlines = {
  /** Of a run that exists. */
  of(runId: string): Promise<RunOutline>;
};

const READ_RUN_GRAPH = loadSql(import.meta.url, "./read-run-graph.sql");
/** Steps of all outlines that are kept: some tens of megabytes. */
const MAX_STEPS_KEPT = 100_000;

/** The graph of a run as its JSON text; undefined: there is no such run. */
export async function readGraphText(database: Queryable, runId: string): Promise<string | undefined> {
  const [row] = await database.query<{ graph: string }>(READ_RUN_GRAPH, [runId]);
  return row?.graph;
}

export function createRunOutlines(database: Queryable): RunOutlines {
  /** In the order in which they were used last. */
  const kept = new Map<string, RunOutline>();
  let steps = 0;

  function keep(runId: string, outline: RunOutline): void {
    kept.set(runId, outline);
    steps += outline.steps.length;
    for (const [oldest, { steps: gone }] of kept) {
      if (steps <= MAX_STEPS_KEPT || oldest === runId) return;
      kept.delete(oldest);
      steps -= gone.length;
    }
  }

  return {
    async of(runId) {
      const known = kept.get(runId);
      if (known !== undefined) {
        kept.delete(runId);
        kept.set(runId, known);
        return known;
      }
      const text = await readGraphText(database, runId);
      // It was checked when the run was submitted. A run that was deleted just now has no steps either.
      const graph: Graph = text === undefined ? { steps: [] } : (JSON.parse(text) as Graph);
      const outline = outlineOf(graph, runId);
      if (!kept.has(runId)) keep(runId, outline);
      return outline;
    },
  };
}

export function outlineOf(graph: Graph, runId: string): RunOutline {
  const steps = graph.steps.map((step, place) => ({
    place,
    key: step.key,
    taskId: uuidv5(step.key, runId),
    task: step.task,
    isMapped: step.map !== undefined,
    parents: parentsOf(step),
  }));
  const referred = new Set(steps.flatMap(({ parents }) => parents));
  return {
    steps,
    byKey: new Map(steps.map((step) => [step.key, step])),
    result: graph.result,
    ends: steps.filter(({ key }) => !referred.has(key)),
  };
}

/** The task id of an element of a mapped step. */
export function elementTaskId(key: string, index: number, runId: string): string {
  return uuidv5(elementKey(key, index), runId);
}

function parentsOf({ input, map, when, after = [] }: Step): readonly string[] {
  const referred = [input, map, when].flatMap((template) => referencesOf(template).map(({ step }) => step));
  return [...new Set([...after, ...referred])];
}
