/**
 * Whom the embedded Postgres runs as. Postgres refuses to run as root, so a root process starts it as a user that the
 * system has anyway: nothing is created on the host. That user cannot pass through root's private folders, which is
 * why everything it needs is looked at from its side first.
 */
import { accessSync, constants, readFileSync, realpathSync, statSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { TaskiqError } from "../errors.ts";

export type ServiceUser = { readonly uid: number; readonly gid: number };

/** Any of them will do; they own nothing that Postgres could harm. */
const CANDIDATES = ["postgres", "nobody", "daemon"];

/** The user to run as; undefined for the user of this process, who is not root. */
export function serviceUser(): ServiceUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of CANDIDATES) {
    const user = lookUp(name);
    if (user !== undefined) return user;
  }
  throw new TaskiqError(
    "config_invalid",
    `expected one of the users ${CANDIDATES.join(", ")} in /etc/passwd to run Postgres as (it refuses root), found none. ` +
      "Start this as an ordinary user, or set DATABASE_URL to use another server.",
  );
}

/**
 * True when `user` may pass through every folder above `path` and enter or run `path` itself, by owner, group and mode.
 * Access lists are not read. `path` must exist.
 */
export function reaches(user: ServiceUser | undefined, path: string): boolean {
  const real = realpathSync(path);
  if (user === undefined) return isAllowed(real);
  for (let part = real; ; part = dirname(part)) {
    if (!mayEnter(user, part)) return false;
    if (part === dirname(part)) return true;
  }
}

/** A new private folder of this process under a temporary folder that `user` can reach. */
export async function temporaryFolder(
  user: ServiceUser | undefined,
  purpose: string,
  lasting = false,
): Promise<string> {
  // What must outlast a reboot is not put into a folder that many systems empty at the start.
  const places = lasting ? ["/var/tmp", tmpdir(), "/tmp"] : [tmpdir(), "/var/tmp", "/tmp"];
  const place = places.find((one) => isThere(one) && isWritable(one) && reaches(user, one));
  if (place === undefined) {
    throw new TaskiqError(
      "config_invalid",
      `expected a temporary folder that user ${user?.uid ?? "of this process"} can enter, none of ${places.join(", ")} is one. ` +
        "Set TMPDIR to such a folder.",
    );
  }
  return await mkdtemp(join(place, `taskiq-aws-${purpose}-`));
}

function lookUp(name: string): ServiceUser | undefined {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith(`${name}:`));
  const [, , uid, gid] = (line ?? "").split(":").map(Number);
  // Some systems write nobody as -2, which Node cannot start a process as.
  return uid === undefined || gid === undefined || !(uid > 0) || !(gid > 0) ? undefined : { uid, gid };
}

function mayEnter(user: ServiceUser, path: string): boolean {
  const { uid, gid, mode } = statSync(path);
  if (uid === user.uid) return (mode & 0o100) !== 0;
  if (gid === user.gid) return (mode & 0o010) !== 0;
  return (mode & 0o001) !== 0;
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

const isAllowed = (path: string): boolean => allows(path, constants.X_OK);
const isWritable = (path: string): boolean => allows(path, constants.W_OK | constants.X_OK);

function allows(path: string, what: number): boolean {
  try {
    accessSync(path, what);
    return true;
  } catch {
    return false;
  }
}
