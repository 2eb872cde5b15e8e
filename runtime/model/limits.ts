/** Who of some tasks may start under the limits of their keys, who has to wait for what. Pure: the keys are locked meanwhile, elsewhere. */

export type LimitKey = {
  readonly key: string;
  readonly running: number;
  /** Null: as many as there are. */
  readonly max: number | null;
  /** Least time between two starts; null: none. */
  readonly intervalMs: number | null;
  /** Until its next start is due; 0: now. */
  readonly waitMs: number;
};

export type Contender = {
  readonly id: string;
  readonly keys: readonly string[];
  /** Its turn at every rate was given to it before. */
  readonly hasToken: boolean;
};

export type Allocation = {
  /** These may start. */
  readonly start: readonly string[];
  /** These wait for room at a key. */
  readonly park: readonly { readonly id: string; readonly key: string }[];
  /** These got their turn at a rate, and start then. */
  readonly later: readonly { readonly id: string; readonly inMs: number }[];
  /** When the next start of each key is due whose rate was used, from now on. */
  readonly nextMs: ReadonlyMap<string, number>;
};

/**
 * In the order of `contenders`. A task takes room at all of its keys or at none: one that held one key while it waits for another could wait for a
 * task that waits for it.
 */
export function allocate(contenders: readonly Contender[], keys: readonly LimitKey[]): Allocation {
  const room = new Map(
    keys.map(({ key, running, max }) => [key, max === null ? Number.POSITIVE_INFINITY : max - running]),
  );
  const next = new Map(keys.flatMap(({ key, intervalMs, waitMs }) => (intervalMs === null ? [] : [[key, waitMs]])));
  const interval = new Map(keys.map(({ key, intervalMs }) => [key, intervalMs ?? 0]));
  const start: string[] = [];
  const park: { id: string; key: string }[] = [];
  const later: { id: string; inMs: number }[] = [];
  const used = new Set<string>();
  for (const { id, keys: own, hasToken } of contenders) {
    const full = own.find((key) => (room.get(key) ?? 0) <= 0);
    if (full !== undefined) {
      park.push({ id, key: full });
      continue;
    }
    const rates = hasToken ? [] : own.filter((key) => next.has(key));
    const inMs = Math.max(0, ...rates.map((key) => next.get(key) ?? 0));
    for (const key of rates) {
      next.set(key, inMs + (interval.get(key) ?? 0));
      used.add(key);
    }
    if (inMs > 0) {
      later.push({ id, inMs });
      continue;
    }
    for (const key of own) room.set(key, (room.get(key) ?? 0) - 1);
    start.push(id);
  }
  return { start, park, later, nextMs: new Map([...next].filter(([key]) => used.has(key))) };
}
