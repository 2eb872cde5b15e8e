/**
 * Reduces package.json and package-lock.json in the working directory to one package that has no dependencies, so that
 * `npm ci` installs nothing else, and still only what the lock file's checksum says. Used by a build stage of the image.
 *
 *   node only-package.ts NAME
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

type LockedPackage = {
  readonly version?: string;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
};

export type LockFile = {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage>>;
};

/** Throws when the lock file does not have the package, has no checksum for it, or it needs other packages. */
export function onlyPackage(lock: LockFile, name: string): { project: object; lock: object } {
  const path = `node_modules/${name}`;
  const found = lock.packages[path];
  if (found?.version === undefined || found.integrity === undefined) {
    throw new Error(`package-lock.json: expected ${name} with a version and a checksum, got ${JSON.stringify(found)}`);
  }
  if (found.dependencies !== undefined) {
    throw new Error(`package-lock.json: expected ${name} without dependencies, got ${Object.keys(found.dependencies)}`);
  }
  const project = { name: "one-package", version: "0.0.0", private: true, dependencies: { [name]: found.version } };
  const packages = { "": project, [path]: { version: found.version, integrity: found.integrity } };
  return {
    project,
    lock: { name: project.name, version: project.version, lockfileVersion: lock.lockfileVersion, packages },
  };
}

function run(name: string | undefined): void {
  if (name === undefined) throw new Error("usage: node only-package.ts NAME");
  // The shape is npm's own, of the version that the field lockfileVersion states.
  const reduced = onlyPackage(JSON.parse(readFileSync("package-lock.json", "utf8")) as LockFile, name);
  writeFileSync("package.json", JSON.stringify(reduced.project));
  writeFileSync("package-lock.json", JSON.stringify(reduced.lock));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) run(process.argv[2]);
