/**
 * Group commit: what is asked for at the same time shares one statement.
 *
 * At most `maxInFlight` runs go on at once; whatever arrives meanwhile waits and goes together with the next one. So an idle
 * system adds at most `lingerMs` of latency and a busy one makes its batches as large as it needs, without being tuned.
 */

export type Batcher<Item, Result> = {
  /** Resolves with this item's own result; rejects when the whole run failed. */
  add(item: Item): Promise<Result>;
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>;
};

export type BatcherOptions<Item, Result> = {
  /** Most items of one run, from 1. */
  readonly maxItems: number;
  /** How long the first item of a run waits for company, in milliseconds; 0 waits for the current turn of the event loop only. */
  readonly lingerMs: number;
  /** Runs at the same time, from 1. */
  readonly maxInFlight: number;
  /** Results in the order of the items, one each. */
  run(items: readonly Item[]): Promise<readonly Result[]>;
};

type Waiting<Item, Result> = { item: Item; resolve(result: Result): void; reject(error: unknown): void };

export function createBatcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  let waiting: Waiting<Item, Result>[] = [];
  let inFlight = 0;
  let scheduled = false;
  let idlers: (() => void)[] = [];

  function add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length >= options.maxItems) dispatch();
      else schedule();
    });
  }

  function schedule(): void {
    if (scheduled || inFlight >= options.maxInFlight) return;
    scheduled = true;
    if (options.lingerMs === 0) setImmediate(flush);
    else setTimeout(flush, options.lingerMs);
  }

  function flush(): void {
    scheduled = false;
    dispatch();
  }

  function dispatch(): void {
    while (waiting.length > 0 && inFlight < options.maxInFlight) {
      const taken = waiting.slice(0, options.maxItems);
      waiting = waiting.slice(options.maxItems);
      inFlight++;
      void finish(taken);
    }
  }

  async function finish(taken: Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await options.run(taken.map((entry) => entry.item));
      if (results.length !== taken.length)
        throw new RangeError(`expected ${taken.length} results, got ${results.length}`);
      for (const [index, entry] of taken.entries()) entry.resolve(results[index] as Result); // Length was compared above.
    } catch (error) {
      for (const entry of taken) entry.reject(error);
    } finally {
      inFlight--;
      if (waiting.length > 0) schedule();
      else if (inFlight === 0) {
        for (const idler of idlers) idler();
        idlers = [];
      }
    }
  }

  return {
    add,
    idle: () =>
      waiting.length === 0 && inFlight === 0 ? Promise.resolve() : new Promise((resolve) => idlers.push(resolve)),
  };
}
