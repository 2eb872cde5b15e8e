/** What the rest of the code knows of the service that keeps the workers running. */

export type ServiceState = {
  /** How many workers it is asked to keep. */
  readonly desired: number;
  /** How many run; workers that are being stopped are counted until they have stopped. */
  readonly running: number;
  /** How many are being started. */
  readonly pending: number;
  /** A new version is replacing an old one, or the first one has not come up yet: workers of both are there. */
  readonly deploying: boolean;
};

export type WorkerService = {
  /** Throws a `TaskiqError` `scaling_unavailable` when there is no good answer, or when the service is being deleted. */
  describe(): Promise<ServiceState>;
  /**
   * Asks for so many workers, from 0. Resolves when the request was accepted: the workers start and stop later.
   * Throws `scaling_unavailable`; the request may have been accepted all the same (its answer was lost).
   */
  setDesired(count: number): Promise<void>;
};
