/** `npm run test:interop`: real packages of Python on both sides. Not part of `npm test`, because it installs from PyPI. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/interop/*.interop.ts"],
    globalSetup: ["test/support/global-setup.ts", "test/interop/venv.ts"],
    testTimeout: 180_000,
    hookTimeout: 300_000,
    pool: "forks",
    fileParallelism: false,
  },
});
