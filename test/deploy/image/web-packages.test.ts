/** The stage of the image that builds the dashboard installs the packages that are imported, and no others. */
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** What is bundled, and what says how. */
const ENTRIES = ["runtime/web/main.tsx", "runtime/web/vite.config.ts"];

test("the image's stage for the dashboard has the packages that it imports", () => {
  expect(installed()).toEqual(imported());
});

function installed(): string[] {
  const text = readFileSync(join(ROOT, "runtime/Dockerfile"), "utf8");
  const [, names] = /AS web\n.*?only-packages\.ts \\\n(.*?)&&/s.exec(text) ?? [];
  return (names ?? "")
    .split(/[\s\\]+/)
    .filter((name) => name !== "")
    .sort();
}

function imported(): string[] {
  const packages = new Set<string>();
  const files = ENTRIES.map((file) => join(ROOT, file));
  // A set grows while it is walked.
  const known = new Set(files);
  for (const file of known) {
    for (const name of importsOf(file)) {
      if (name.startsWith(".")) {
        if (/\.tsx?$/.test(name)) known.add(join(dirname(file), name));
      } else if (!name.startsWith("node:") && !builtinModules.includes(name)) {
        packages.add(name.split("/", name.startsWith("@") ? 2 : 1).join("/"));
      }
    }
  }
  return [...packages].sort();
}

/** What a file loads: imports of types are gone when it is built. */
function importsOf(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const isLoaded =
      (ts.isImportDeclaration(node) && !isOfTypes(node.importClause)) ||
      (ts.isExportDeclaration(node) && !node.isTypeOnly);
    if (isLoaded && node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
      found.push(node.moduleSpecifier.text);
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [name] = node.arguments;
      if (name !== undefined && ts.isStringLiteral(name)) found.push(name.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function isOfTypes(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  const { namedBindings } = clause;
  const named = namedBindings !== undefined && ts.isNamedImports(namedBindings) ? namedBindings.elements : undefined;
  return clause.isTypeOnly || (clause.name === undefined && named?.every(({ isTypeOnly }) => isTypeOnly) === true);
}
