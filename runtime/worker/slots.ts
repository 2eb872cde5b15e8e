/**
 * The room for running attempts in one process. A slot is taken when a message arrives and free when its outcome is recorded.
 *
 *   waiting ──► woken ──► took a slot
 *                 └─ 100 ms, the slot is still free ──► the next one is woken too
 *
 * A freed slot wakes one, who waited longest: woken all together, the first queue's poll would win every slot of a busy
 * worker. Who is woken may find its queue empty and take nothing for a whole long poll, so the slot is then offered on.
 */

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
  /** Resolves when a slot is free and it is the caller's turn, or `stopped()` says that nobody wants one any more. */
  available(stopped: () => boolean): Promise<void>;
  /** Lets those go who want no slot any more. */
  wake(): void;
};

type Waiter = { readonly stopped: () => boolean; readonly resolve: () => void };

/** A poll that finds messages has them well within this time. */
const OFFER_ON_MS = 100;

export function createSlots(total: number): Slots {
  let taken = 0;
  let leaked = 0;
  let waiters: Waiter[] = [];
  let offering: NodeJS.Timeout | undefined;

  /** While a slot is free and somebody waits unwoken, the timer runs; where none is free it does nothing. */
  function offer(): void {
    if (taken >= total) return;
    waiters.shift()?.resolve();
    if (waiters.length > 0) offering = offering?.refresh() ?? setTimeout(offer, OFFER_ON_MS).unref();
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
      if (waiters.length > 0) offer();
    },
    leak(ended) {
      leaked++;
      void ended.then(() => {
        leaked--;
        slots.release();
      });
    },
    async available(stopped) {
      for (let woken = false; taken >= total && !stopped(); woken = true) {
        await new Promise<void>((resolve) => {
          // Woken for a slot that somebody else took first: its place is still in front.
          if (woken) waiters.unshift({ stopped, resolve });
          else waiters.push({ stopped, resolve });
        });
      }
    },
    wake() {
      const all = waiters;
      waiters = all.filter((waiter) => !waiter.stopped());
      for (const waiter of all) if (waiter.stopped()) waiter.resolve();
    },
  };
  return slots;
}
