/** `npm run test:iam`: the roles under their generated policies, on an emulator that enforces IAM (emulator.ts). */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/iam/*.iam.ts"],
    globalSetup: ["test/iam/emulator.ts", "test/support/global-setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    pool: "forks",
  },
});
