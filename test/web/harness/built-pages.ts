/** The pages as they are served, built from what is there now: once for all files, and not at all where nothing has changed since they were built. */
import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const RUNTIME = fileURLToPath(new URL("../../../runtime", import.meta.url));
const VITE = fileURLToPath(new URL("../../../node_modules/vite/bin/vite.js", import.meta.url));
const LOCKFILE = fileURLToPath(new URL("../../../package-lock.json", import.meta.url));
const BUILT = join(RUNTIME, "web", "dist");

export default async function setup(): Promise<void> {
  const builtMs = (await stat(join(BUILT, "index.html")).catch(() => undefined))?.mtimeMs ?? 0;
  if ((await newestMs()) <= builtMs) return;
  // In a process of its own: here NODE_ENV is `test`, with which React comes in its slow and large form for development.
  const config = join(RUNTIME, "web", "vite.config.ts");
  const env = { ...process.env, NODE_ENV: "production" };
  await promisify(execFile)(process.execPath, [VITE, "build", "--config", config, "--logLevel", "warn"], { env });
}

/** Of everything that may be built in, folders included: one changes when a file is deleted. */
async function newestMs(): Promise<number> {
  const folders = ["web", "client", "model", "."].map((name) => join(RUNTIME, name));
  const names = await Promise.all(
    folders.map(async (folder) => {
      const recursive = folder !== RUNTIME;
      return (await readdir(folder, { recursive })).map((name) => join(folder, name));
    }),
  );
  const paths = names.flat().filter((path) => !path.startsWith(BUILT) && path !== join(RUNTIME, "web"));
  const times = await Promise.all([LOCKFILE, ...paths].map(async (path) => (await stat(path)).mtimeMs));
  return Math.max(...times);
}
