/** Whether the API answers. One lost answer is none of the user's business; several are. */

export type Connection = {
  readonly isLost: () => boolean;
  tell(isReached: boolean): void;
  subscribe(changed: () => void): () => void;
};

const LOST_AFTER = 2;

export function createConnection(): Connection {
  const listeners = new Set<() => void>();
  let breaks = 0;
  return {
    isLost: () => breaks >= LOST_AFTER,
    tell(isReached) {
      const was = breaks >= LOST_AFTER;
      breaks = isReached ? 0 : breaks + 1;
      if (was !== breaks >= LOST_AFTER) for (const changed of listeners) changed();
    },
    subscribe(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
  };
}
