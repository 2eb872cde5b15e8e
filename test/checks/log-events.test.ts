/**
 * The list of events and the code agree. The compiler says what each call of a log writes, spreads and variables included: a call is found by the
 * type of what it is made on, not by its name.
 */
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { EVENTS } from "../../runtime/log-events.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LEVELS = ["debug", "info", "warn", "error"];

/** Of a call: where it stands, the events it may write and the fields that it may give them. */
type Call = { readonly at: string; readonly events: readonly string[]; readonly fields: readonly string[] };

const { calls, children } = readCalls();
const listed = new Map<string, { readonly fields: readonly string[]; readonly open?: true }>(Object.entries(EVENTS));

describe("the events that are logged", () => {
  test("are found: the check would see nothing wrong in nothing", () => {
    expect(calls.length).toBeGreaterThan(60);
    expect(calls).toContainEqual({
      at: expect.stringMatching(/^runtime\/executor\/executor\.ts:\d+$/),
      events: ["reap.recovered"],
      fields: ["count", "failed", "workers"],
    });
  });

  test("are named where they are logged: one event a call", () => {
    expect(calls.filter(({ events }) => events.length !== 1)).toEqual([]);
  });

  test("stand in the list", () => {
    expect(calls.filter(({ events }) => events.some((event) => !listed.has(event)))).toEqual([]);
  });

  test("are all that stand in the list", () => {
    const logged = new Set(calls.flatMap(({ events }) => events));
    expect([...listed.keys()].filter((event) => !logged.has(event))).toEqual([]);
  });

  test("have the fields that their entries name, and no others", () => {
    const unnamed = calls.flatMap(({ at, events, fields }) =>
      events.flatMap((event) => {
        const entry = listed.get(event);
        return fields
          .filter((field) => entry?.fields.includes(field) === false)
          .map((field) => `${at} ${event} ${field}`);
      }),
    );
    expect(unnamed).toEqual([]);
  });

  test("are given every field that their entries name", () => {
    const given = new Set(
      calls.flatMap(({ events, fields }) => events.flatMap((event) => fields.map((field) => `${event} ${field}`))),
    );
    // What a handler writes goes through a child log that has the ids.
    for (const field of children) given.add(`task.log ${field}`);
    given.add("task.log message");
    const named = [...listed].flatMap(([event, { fields }]) => fields.map((field) => `${event} ${field}`));
    expect(named.filter((one) => !given.has(one))).toEqual([]);
  });
});

/** `children`: the fields of every child log, which its lines repeat. */
function readCalls(): { calls: Call[]; children: string[] } {
  const { config } = ts.readConfigFile(`${ROOT}tsconfig.json`, ts.sys.readFile);
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const own = (path: string) => path.startsWith(`${ROOT}runtime/`);
  const program = ts.createProgram(fileNames.filter(own), { ...options, noEmit: true });
  const checker = program.getTypeChecker();
  const calls: Call[] = [];
  const children: string[] = [];

  for (const file of program.getSourceFiles()) {
    if (own(file.fileName) && !file.fileName.endsWith("/runtime/log.ts")) visit(file, file);
  }
  return { calls, children };

  function visit(node: ts.Node, file: ts.SourceFile): void {
    ts.forEachChild(node, (child) => visit(child, file));
    if (!ts.isCallExpression(node)) return;
    const { expression: called } = node;
    // First by what it looks like: to ask the compiler about every call there is would take a minute.
    const name = ts.isPropertyAccessExpression(called) ? called.name.text : null;
    const mayBe = name === null ? ts.isElementAccessExpression(called) : [...LEVELS, "child"].includes(name);
    if (!mayBe || !isOfLog(node)) return;
    const [first, second] = node.arguments;
    if (name === "child") return void children.push(...propertiesOf(first));
    const type = first === undefined ? undefined : checker.getTypeAtLocation(first);
    const events = (type?.isUnion() === true ? type.types : [type]).map((one) =>
      one?.isStringLiteral() === true ? one.value : "not a literal",
    );
    const { line } = file.getLineAndCharacterOfPosition(node.getStart());
    calls.push({ at: `${file.fileName.slice(ROOT.length)}:${line + 1}`, events, fields: propertiesOf(second) });
  }

  function isOfLog(call: ts.CallExpression): boolean {
    const declared = checker.getResolvedSignature(call)?.declaration;
    return declared?.getSourceFile().fileName.endsWith("/runtime/log.ts") === true && ts.isMethodSignature(declared);
  }

  function propertiesOf(fields: ts.Expression | undefined): string[] {
    if (fields === undefined) return [];
    const type = checker.getTypeAtLocation(fields);
    const shapes = type.isUnion() ? type.types : [type];
    return [
      ...new Set(shapes.flatMap((shape) => checker.getPropertiesOfType(shape).map((one) => one.name))),
    ].toSorted();
  }
}
