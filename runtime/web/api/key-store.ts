/** The API key of this tab: kept while the tab is open, never in the address, and gone with "Forget the key". */

export type KeyStore = {
  /** Null: none was given. */
  read(): string | null;
  keep(key: string): void;
  forget(): void;
};

const NAME = "taskiq-aws.key";

export function createKeyStore(storage: Storage): KeyStore {
  return {
    read: () => storage.getItem(NAME),
    keep: (key) => storage.setItem(NAME, key),
    forget: () => storage.removeItem(NAME),
  };
}

/** What can stand in a header: the client refuses everything else. */
export function isUsableKey(key: string): boolean {
  return /^[!-~]{1,200}$/.test(key);
}
