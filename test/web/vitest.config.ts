/** `npm run test:web`: the dashboard in a browser, in front of the whole system. The pages are built first. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/web/**/*.e2e.ts"],
    globalSetup: ["test/web/harness/built-pages.ts", "test/support/global-setup.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // As long as the browser itself waits for what it is asked for.
    expect: { poll: { timeout: 15_000 } },
    pool: "forks",
    // A browser and a whole system each: one at a time leaves the processors to them.
    maxWorkers: 1,
  },
});
