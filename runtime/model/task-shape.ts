/** What the check of a graph has to know of the tasks, and what it says. */

/** `path` as in `steps.load.input.rows`: a step is named by its key. */
export type GraphIssue = { readonly path: string; readonly message: string };

/** What a graph has to know of a task. */
export type TaskShape = {
  /**
   * What is wrong with an input of which some places are not known: these are `undefined` in it, and may be anything.
   * Paths of issues are those in the input.
   */
  readonly checkInput: (input: unknown, unknownPaths: readonly (readonly string[])[]) => readonly GraphIssue[];
  /** As a JSON schema; null: it has none, and may be anything. */
  readonly inputSchema: object | null;
  readonly outputSchema: object | null;
};

export type TaskShapes = { get(name: string): TaskShape | undefined; names(): readonly string[] };
