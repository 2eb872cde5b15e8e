/**
 * How long things take in the tests of whole systems. Scaled down, so that a lease runs out in seconds; with
 * TASKIQ_TEST_REAL_TIMES=1 the product's own defaults are used, so that nothing holds only for small numbers.
 */

export type SystemTimes = {
  /** The product's settings where they are not its defaults. */
  readonly env: Readonly<Record<string, string>>;
  /** For a process that a silent database must not hold up for longer than a lease. */
  readonly impatient: Readonly<Record<string, string>>;
  readonly leaseMs: number;
  readonly commitTimeoutMs: number;
  /** The longest that a commit may be allowed to take: where it can be, longer than a lease. */
  readonly longestCommitMs: number;
  /** One and a half leases: whoever is away for this long has lost its attempts. */
  readonly awayMs: number;
  /** Within this time after the lease ran out a lost task runs again. */
  readonly recoveryMs: number;
  /** A doorbell that nobody answered is rung again after this time, in systems that ask for it with `ringAgain`. */
  readonly ringAgainAfterMs: number;
  readonly ringAgain: Readonly<Record<string, string>>;
  readonly drain: {
    readonly workMs: number;
    readonly budgetMs: number;
    readonly env: Readonly<Record<string, string>>;
  };
  /** Workers that are killed while they run a graph: one in each of its layers, or one in each of its steps. */
  readonly killedIn: "each layer" | "each step";
  /** For whole tests. */
  readonly testTimeoutMs: number;
};

const SCALED: SystemTimes = {
  env: {
    TASKIQ_LEASE_MS: "6000",
    TASKIQ_EXTEND_INTERVAL_MS: "2000",
    TASKIQ_COMMIT_TIMEOUT_MS: "2000",
    TASKIQ_REAP_INTERVAL_MS: "500",
    TASKIQ_RECEIVE_WAIT_MS: "1000",
  },
  impatient: { TASKIQ_QUERY_TIMEOUT_MS: "2000" },
  leaseMs: 6_000,
  commitTimeoutMs: 2_000,
  longestCommitMs: 7_500,
  awayMs: 9_000,
  recoveryMs: 5_000,
  ringAgainAfterMs: 2_000,
  ringAgain: { TASKIQ_RING_AGAIN_AFTER_MS: "2000", TASKIQ_RING_AGAIN_INTERVAL_MS: "500" },
  drain: {
    workMs: 3_000,
    budgetMs: 8_000,
    env: { TASKIQ_DRAIN_WORK_MS: "3000", TASKIQ_DRAIN_BUDGET_MS: "8000", TASKIQ_GRACE_MS: "1000" },
  },
  killedIn: "each layer",
  testTimeoutMs: 90_000,
};

const REAL: SystemTimes = {
  env: {},
  impatient: {},
  leaseMs: 30_000,
  commitTimeoutMs: 5_000,
  longestCommitMs: 7_500,
  awayMs: 45_000,
  recoveryMs: 5_000,
  ringAgainAfterMs: 300_000,
  ringAgain: {},
  drain: { workMs: 100_000, budgetMs: 120_000, env: {} },
  killedIn: "each step",
  testTimeoutMs: 1_800_000,
};

export const TIMES: SystemTimes = process.env.TASKIQ_TEST_REAL_TIMES === "1" ? REAL : SCALED;
