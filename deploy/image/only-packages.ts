/**
 * Reduces package.json and package-lock.json in the working directory to some packages and what they need, so that `npm ci` installs nothing else, and
 * still only what the lock file's checksums say. Used by build stages of the image.
 *
 *   node only-packages.ts NAME…
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

type Needs = Readonly<Record<string, string>>;

type LockedPackage = {
  readonly version?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly dependencies?: Needs;
  /** Such as the build of a compiler for each platform: npm installs the one that fits. */
  readonly optionalDependencies?: Needs;
  readonly peerDependencies?: Needs;
};

export type LockFile = {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage>>;
};

/** Throws when the lock file lacks one of the packages, or the checksum of one that it needs. */
export function onlyPackages(lock: LockFile, names: readonly string[]): { project: object; lock: object } {
  const kept = new Map<string, LockedPackage>();
  const asked = names.map((name): [string, string] => ["", name]);
  for (let next = asked.pop(); next !== undefined; next = asked.pop()) {
    const [from, name] = next;
    const path = pathOf(lock, from, name);
    const found = path === undefined ? undefined : lock.packages[path];
    // A peer that is optional need not be there.
    if (path === undefined || found === undefined) {
      if (from !== "") continue;
      throw new Error(`package-lock.json: expected ${name}, it is not there`);
    }
    if (kept.has(path)) continue;
    if (found.version === undefined || found.integrity === undefined) {
      throw new Error(
        `package-lock.json: expected ${path} with a version and a checksum, got ${JSON.stringify(found)}`,
      );
    }
    const { dev: _, ...entry } = found;
    kept.set(path, entry);
    const { dependencies, optionalDependencies, peerDependencies } = found;
    const needed = { ...dependencies, ...optionalDependencies, ...peerDependencies };
    asked.push(...Object.keys(needed).map((one): [string, string] => [path, one]));
  }
  const dependencies = Object.fromEntries(
    names.toSorted().map((name) => [name, kept.get(`node_modules/${name}`)?.version]),
  );
  const project = { name: "some-packages", version: "0.0.0", private: true, dependencies };
  const packages = { "": project, ...Object.fromEntries([...kept].toSorted(([a], [b]) => (a < b ? -1 : 1))) };
  return {
    project,
    lock: { name: project.name, version: project.version, lockfileVersion: lock.lockfileVersion, packages },
  };
}

/** Where a package finds another: beside its own, or in a folder above. */
function pathOf({ packages }: LockFile, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    const path = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (packages[path] !== undefined) return path;
    if (folder === "") return undefined;
  }
}

function run(names: readonly string[]): void {
  if (names.length === 0) throw new Error("usage: node only-packages.ts NAME…");
  // The shape is npm's own, of the version that the field lockfileVersion states.
  const reduced = onlyPackages(JSON.parse(readFileSync("package-lock.json", "utf8")) as LockFile, names);
  writeFileSync("package.json", JSON.stringify(reduced.project));
  writeFileSync("package-lock.json", JSON.stringify(reduced.lock));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  run(process.argv.slice(2));
