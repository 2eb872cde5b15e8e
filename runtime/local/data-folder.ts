/**
 * The folder of an embedded Postgres, owned by the user it runs as.
 *
 * As root that user may be unable to get there (a checkout below root's home). Then the data is kept in a folder under
 * the system's temporary folders, and a symbolic link stands where it was asked for: opening root's home to others
 * would be the alternative. Deleting the link makes the next start begin with an empty server.
 */
import { existsSync, realpathSync, statSync } from "node:fs";
import { chmod, chown, mkdir, readdir, rm, rmdir, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import { TaskiqError } from "../errors.ts";
import { reaches, type ServiceUser, serviceUser, temporaryFolder } from "./service-user.ts";

export type DataFolder = {
  /** Without symbolic links; exists, mode 0700, owned by `user`. */
  readonly path: string;
  /** Whom Postgres has to run as; undefined: as this process. */
  readonly user: ServiceUser | undefined;
  /** All paths to remove for nothing to be left. */
  readonly paths: readonly string[];
};

/**
 * Opens or makes the folder. `lasting`: it has to outlast a reboot. Throws `config_invalid` where it belongs to somebody
 * else, and for one that does not last and is not empty: it will be removed, so nobody else's files may be in it.
 */
export async function openDataFolder(folder: string, lasting: boolean): Promise<DataFolder> {
  if (!lasting && existsSync(folder) && (await readdir(folder)).length > 0) throw notEmpty(folder);
  const standard = serviceUser();
  if (standard === undefined) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const owner = statSync(folder).uid;
    if (owner !== process.getuid?.()) throw notOurs(folder, owner);
    return await opened(folder, folder, undefined);
  }
  const user = ownerOf(folder) ?? standard;
  await mkdir(dirname(folder), { recursive: true });
  if (existsSync(folder) && reaches(user, dirname(realpathSync(folder)))) return await opened(folder, folder, user);
  if (!existsSync(folder) && reaches(user, dirname(folder))) {
    // A link to a folder that is gone.
    await rm(folder, { force: true });
    await mkdir(folder);
    return await opened(folder, folder, user);
  }
  const real = await temporaryFolder(user, "postgres", lasting);
  await makeRoom(folder);
  await symlink(real, folder);
  return await opened(folder, real, user);
}

async function opened(folder: string, place: string, user: ServiceUser | undefined): Promise<DataFolder> {
  const path = realpathSync(place);
  if (user !== undefined) await chown(path, user.uid, user.gid);
  await chmod(path, 0o700);
  return { path, user, paths: path === folder ? [path] : [path, folder] };
}

/** Data that exists is used by its owner: what an ordinary user began, root continues as that user. */
function ownerOf(folder: string): ServiceUser | undefined {
  const stat = statSync(folder, { throwIfNoEntry: false });
  return stat === undefined || stat.uid === 0 ? undefined : { uid: stat.uid, gid: stat.gid };
}

/** Takes away a dangling link or an empty folder, nothing else. */
async function makeRoom(folder: string): Promise<void> {
  if (!existsSync(folder)) {
    await rm(folder, { force: true });
    return;
  }
  try {
    await rmdir(folder);
  } catch (cause) {
    throw new TaskiqError(
      "config_invalid",
      `expected an empty folder or none at ${folder}, because the user that Postgres runs as cannot get there. ` +
        "Move its contents away, or name a folder that every user can enter.",
      { cause },
    );
  }
}

function notEmpty(folder: string): TaskiqError {
  return new TaskiqError(
    "config_invalid",
    `expected an empty folder or none at ${folder}, because it is removed when the server stops; it holds something. ` +
      "Name another folder, or make the server persistent.",
  );
}

function notOurs(folder: string, owner: number): TaskiqError {
  return new TaskiqError(
    "config_invalid",
    `expected ${folder} to belong to this user, it belongs to uid ${owner}. ` +
      "Remove it as that user (or as root) to begin with an empty server, or name another folder.",
  );
}
