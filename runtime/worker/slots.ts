/** The room for running attempts in one process. A slot is taken when a message arrives and free when its outcome is recorded. */

export type Slots = {
  readonly total: number;
  readonly free: number;
  /** Slots whose handler ignored its abort and still runs. */
  readonly leaked: number;
  /** Takes up to `wanted` slots at once and says how many it got. */
  take(wanted: number): number;
  release(): void;
  /** The handler in this slot was left behind: the slot is lost until `ended`. */
  leak(ended: Promise<void>): void;
  /** Resolves when at least one slot is free, or `stopped()` says that nobody wants one any more. */
  available(stopped: () => boolean): Promise<void>;
  /** Lets everybody who waits look again. */
  wake(): void;
  /** Resolves when every slot is free or leaked. */
  idle(): Promise<void>;
};

export function createSlots(total: number): Slots {
  let taken = 0;
  let leaked = 0;
  let waiters: (() => void)[] = [];

  function wake(): void {
    const woken = waiters;
    waiters = [];
    for (const resolve of woken) resolve();
  }

  const slots: Slots = {
    total,
    get free() {
      return total - taken;
    },
    get leaked() {
      return leaked;
    },
    take(wanted) {
      const granted = Math.min(wanted, total - taken);
      taken += granted;
      return granted;
    },
    release() {
      taken--;
      wake();
    },
    leak(ended) {
      leaked++;
      wake();
      void ended.then(() => {
        leaked--;
        slots.release();
      });
    },
    async available(stopped) {
      while (total - taken <= 0 && !stopped()) await new Promise<void>((resolve) => waiters.push(resolve));
    },
    wake,
    async idle() {
      while (taken > leaked) await new Promise<void>((resolve) => waiters.push(resolve));
    },
  };
  return slots;
}
