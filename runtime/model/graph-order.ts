/** Parents before children, and the cycles for which there is no such order. Linear, and without recursion: a chain may have 20,000 steps. */

export type Order = {
  /** Otherwise in the order given. With cycles not all parents come first. */
  readonly keys: readonly string[];
  /** Each in the direction of the work, its first key not repeated; of several that share a step one. */
  readonly cycles: readonly (readonly string[])[];
};

/** @param parents of each key; keys that are not among `keys` are passed over */
export function orderSteps(keys: readonly string[], parents: ReadonlyMap<string, readonly string[]>): Order {
  const known = new Set(keys);
  const done = new Set<string>();
  const inCycle = new Set<string>();
  const ordered: string[] = [];
  const cycles: string[][] = [];
  // The way from a step up to the parent that is looked at: a parent which is on it already closes a cycle.
  const way: { readonly key: string; readonly parents: readonly string[]; next: number }[] = [];
  const placeOnWay = new Map<string, number>();
  const enter = (key: string) => {
    placeOnWay.set(key, way.length);
    way.push({ key, parents: parents.get(key) ?? [], next: 0 });
  };

  for (const start of keys) {
    if (!done.has(start)) enter(start);
    for (let here = way.at(-1); here !== undefined; here = way.at(-1)) {
      const parent = here.parents[here.next++];
      if (parent === undefined) {
        way.pop();
        placeOnWay.delete(here.key);
        done.add(here.key);
        ordered.push(here.key);
        continue;
      }
      if (done.has(parent) || !known.has(parent)) continue;
      const place = placeOnWay.get(parent);
      if (place === undefined) {
        enter(parent);
        continue;
      }
      const cycle = way.slice(place).map(({ key }) => key);
      if (!cycle.some((key) => inCycle.has(key))) cycles.push([parent, ...cycle.slice(1).reverse()]);
      for (const key of cycle) inCycle.add(key);
    }
  }
  return { keys: ordered, cycles };
}
