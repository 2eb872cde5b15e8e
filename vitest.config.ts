/**
 * Two projects. Most suites share one embedded Postgres, started once (test/support/global-setup.ts); every file has its
 * own database. The infrastructure needs no Postgres, and shares one process, because loading Pulumi costs most.
 */
import { defineConfig } from "vitest/config";

const INFRA = "test/infra/**/*.test.ts";

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "runtime",
          include: ["test/**/*.test.ts"],
          exclude: [INFRA],
          globalSetup: ["test/support/global-setup.ts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          pool: "forks",
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "infra",
          include: [INFRA],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          pool: "forks",
          isolate: false,
          fileParallelism: false,
          // Groups run one after the other: they want different numbers of processes.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
