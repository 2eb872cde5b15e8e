/**
 * The room for running attempts in one process. A slot is taken when a message arrives and free when its outcome is recorded.
 *
 *   waiting ──► woken ──► took a slot
 *                 └─ 100 ms, the slot is still free ──► the next one is woken too
 *
 * Each queue has a share. A freed slot wakes one waiter: of the share that has had least for its weight, who waited longest. Woken
 * all together, the first queue's poll would win every slot of a busy worker. Who is woken may find its queue empty and take nothing
 * for a whole long poll, so the slot is then offered on.
 */

export type Share = {
  /** Slots it may take now. */
  readonly free: number;
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

export type Slots = Share & {
  readonly total: number;
  /** Slots whose handler ignored its abort and still runs. */
  readonly leaked: number;
  /**
   * A part of the room that competes with the others.
   * @param options.weight slots it gets for each one of a share with weight 1, when both want more than there are
   * @param options.maxSlots most slots at once, so that the rest stays for others; null: all
   */
  share(options: { readonly weight: number; readonly maxSlots: number | null }): Share;
};

type Waiter = { readonly member: Member; readonly stopped: () => boolean; readonly resolve: () => void };
/** `served`: slots it has had, divided by its weight. */
type Member = { readonly weight: number; readonly max: number; held: number; served: number };

/** A poll that finds messages has them well within this time. */
const OFFER_ON_MS = 100;

export function createSlots(total: number): Slots {
  let taken = 0;
  let leaked = 0;
  let waiters: Waiter[] = [];
  let offering: NodeJS.Timeout | undefined;
  /** What the share served last had had: one that comes back from a rest starts there, and does not catch up on it. */
  let served = 0;

  const freeOf = (member: Member): number => Math.max(0, Math.min(total - taken, member.max - member.held));

  /** While a slot is free and somebody waits unwoken, the timer runs; where none is free it does nothing. */
  function offer(): void {
    const next = nextWaiter();
    if (next === undefined) return;
    waiters = waiters.filter((waiter) => waiter !== next);
    next.resolve();
    if (waiters.length > 0) offering = offering?.refresh() ?? setTimeout(offer, OFFER_ON_MS).unref();
  }

  function nextWaiter(): Waiter | undefined {
    let best: Waiter | undefined;
    for (const waiter of waiters) {
      if (freeOf(waiter.member) === 0) continue;
      if (best === undefined || waiter.member.served < best.member.served) best = waiter;
    }
    return best;
  }

  function shareOf(member: Member): Share {
    const share: Share = {
      get free() {
        return freeOf(member);
      },
      take(wanted) {
        const granted = Math.min(wanted, freeOf(member));
        taken += granted;
        member.held += granted;
        member.served = Math.max(member.served, served) + granted / member.weight;
        return granted;
      },
      release() {
        taken--;
        member.held--;
        if (waiters.length > 0) offer();
      },
      leak(ended) {
        leaked++;
        void ended.then(() => {
          leaked--;
          share.release();
        });
      },
      async available(stopped) {
        for (let woken = false; freeOf(member) === 0 && !stopped(); woken = true) {
          if (!woken) member.served = Math.max(member.served, served);
          await new Promise<void>((resolve) => {
            const waiter = { member, stopped, resolve };
            // Woken for a slot that somebody else took first: its place is still in front.
            if (woken) waiters.unshift(waiter);
            else waiters.push(waiter);
          });
          served = Math.max(served, member.served);
        }
      },
      wake() {
        const all = waiters;
        waiters = all.filter((waiter) => !waiter.stopped());
        for (const waiter of all) if (waiter.stopped()) waiter.resolve();
      },
    };
    return share;
  }

  const whole = shareOf({ weight: 1, max: Number.POSITIVE_INFINITY, held: 0, served: 0 });
  return Object.defineProperties(whole, {
    total: { value: total },
    leaked: { get: () => leaked },
    share: {
      value: ({ weight, maxSlots }: { weight: number; maxSlots: number | null }) =>
        shareOf({ weight, max: maxSlots ?? Number.POSITIVE_INFINITY, held: 0, served: 0 }),
    },
    // The properties above are what a share lacks.
  }) as Slots;
}
