/**
 * The password of the database, where it is not in the URL but in a secret that somebody rotates.
 *
 * A process lives longer than a password: RDS changes the one it manages every seven days. Open connections go on, new ones are
 * refused, so the secret is read when it is first needed and again when the database refuses what it gave.
 */
export type Password = {
  /** The password to connect with. Rejects when the secret cannot be read. */
  read(): Promise<string>;
  /**
   * The database has refused `refused`: reads the secret anew. True when there is another password now and connecting again makes sense.
   * Any number of connections refused at the same time cost one read.
   */
  renew(refused: string | undefined): Promise<boolean>;
  /** What the last read gave. */
  readonly latest: string | undefined;
};

/** @param readSecret asks wherever the secret is kept; it must bound its own waiting */
export function rotatingPassword(readSecret: () => Promise<string>): Password {
  let latest: string | undefined;
  let reading: Promise<string> | undefined;

  async function ask(): Promise<string> {
    try {
      latest = await readSecret();
      return latest;
    } finally {
      reading = undefined;
    }
  }

  function askOnce(): Promise<string> {
    reading ??= ask();
    return reading;
  }

  return {
    read: () => (latest === undefined ? askOnce() : Promise.resolve(latest)),
    async renew(refused) {
      if (latest !== undefined && latest !== refused) return true;
      return (await askOnce()) !== refused;
    },
    get latest() {
      return latest;
    },
  };
}
