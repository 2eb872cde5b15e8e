/**
 * The data of an embedded Postgres and the password of its one user. `initdb` works in a folder beside the final one, then comes a
 * rename: a start that was cut off leaves nothing that looks finished.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { open, readFile, rename, rm } from "node:fs/promises";
import { TaskiqError } from "../errors.ts";
import type { Guard } from "./guard.ts";
import { failed, run, type ServerFiles } from "./postgres-process.ts";
import type { ServiceUser } from "./service-user.ts";

/** A superuser. */
export const CLUSTER_USER = "taskiq";

/** Makes the cluster if it is not there yet. Returns the password of its one user. */
export async function makeCluster(files: ServerFiles, initdb: string, guard: Guard): Promise<string> {
  const { cluster, password: passwordFile, user } = files;
  if (existsSync(cluster)) return await readPassword(passwordFile);
  // Others on this machine can connect to the port, and a superuser may run programs as the server's user.
  const password = randomBytes(16).toString("hex");
  await writePassword(passwordFile, password, user);

  const unfinished = `${cluster}.new`;
  await rm(unfinished, { recursive: true, force: true });
  const process = run(files, initdb, [
    `--pgdata=${unfinished}`,
    `--username=${CLUSTER_USER}`,
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-sync",
    "--no-instructions",
  ]);
  guard.watch(process.child.pid ?? 0);
  const outcome = await process.ended;
  guard.watch(0);
  if (outcome !== 0) throw failed(`initdb ended with ${outcome}`, files.log, process.logStart);
  await rename(unfinished, cluster);
  return password;
}

async function writePassword(file: string, password: string, user: ServiceUser | undefined): Promise<void> {
  await rm(file, { force: true });
  const handle = await open(file, "wx", 0o600);
  await handle.writeFile(password);
  if (user !== undefined) await handle.chown(user.uid, user.gid);
  await handle.close();
}

async function readPassword(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (cause) {
    throw new TaskiqError(
      "config_invalid",
      `expected the password of the kept server in ${file}, it cannot be read. Remove the folder to begin with an empty server.`,
      { cause },
    );
  }
}
