/** A field of a graph that is a template, read once: what is known of it before any step has run, and what it waits for. */

import { fillInput, type Node, part, replaceNodes, type Sources, TemplateError } from "./template.ts";

export type Slot = {
  /** With the run's input in it, where that is known. */
  readonly template: unknown;
  /** With `undefined` in the places that are not known yet. */
  readonly value: unknown;
  readonly unknown: readonly { readonly at: readonly string[]; readonly node: Node }[];
};

/** Null: it cannot be read, which has been reported. `report` hears the path inside the field. */
export function readSlot(
  template: unknown,
  sources: Pick<Sources, "input">,
  report: (at: string, message: string) => void,
): Slot | null {
  const unknown: Slot["unknown"][number][] = [];
  let asks = false;
  let misses = false;
  try {
    const value = replaceNodes(template, (node, at) => {
      if (node.kind === "literal") return node.value;
      if (node.kind === "input" && "input" in sources) {
        asks = true;
        const found = part(sources.input, node.path);
        if (found !== undefined || node.optional) return found ?? null;
        misses = true;
        report(
          at.join("."),
          `expected ${node.path.length === 0 ? "a value" : node.path.join(".")} in the run's input, there is none`,
        );
      }
      unknown.push({ at, node });
      return undefined;
    });
    return { template: asks && !misses ? fillInput(template, sources.input) : template, value, unknown };
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    report(error.at, error.message);
    return null;
  }
}
