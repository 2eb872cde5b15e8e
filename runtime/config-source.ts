/**
 * Where each setting comes from: the environment before the file, a variable's own name before its aliases. It is remembered, because whoever is
 * told of a wrong value looks for it where it stands.
 */
import { basename } from "node:path";
import type { ConfigFile } from "./config-file.ts";
import { describeUnknownNames, type Source, type Table } from "./config-problems.ts";
import { shownValue, type Variable } from "./config-variable.ts";

export type Given = {
  /** The text of each variable. */
  readonly raw: Source;
  /** Where it was found, for a message; undefined: under its own name in the environment. */
  readonly origins: Source;
  readonly problems: readonly string[];
};

type Found = { readonly name: string; readonly text: string; readonly origin: string | undefined };

/** @param environmentOnly names that the processes which read them look for in the environment only */
export function givenSettings(
  known: Table,
  env: Source,
  file: ConfigFile,
  environmentOnly: readonly string[],
): (table: Table) => Given {
  return (table) => {
    const raw: Record<string, string | undefined> = {};
    const origins: Record<string, string | undefined> = {};
    const problems: string[] = [];
    for (const [name, variable] of Object.entries(table)) {
      const [first, ...others] = found(name, variable, env, file);
      raw[name] = first?.text;
      origins[name] = first?.origin;
      const other = others.find(({ text }) => text !== first?.text);
      // Two old names for one setting: neither is right.
      if (first !== undefined && first.name !== name && other !== undefined) {
        const shown = variable.secret ? "two values" : `${shownValue(first.text)} and ${shownValue(other.text)}`;
        problems.push(
          `${name}: expected one value under its old names, got ${shown} (${first.name}, ${other.name}). Set ${name} itself.`,
        );
      }
    }
    return {
      raw,
      origins,
      problems: [
        ...problems,
        ...describeUnknownNames(known, env),
        ...unknownInFile(known, env, file),
        ...environmentOnly.flatMap((name) =>
          file.values[name] === undefined || isTakenOut(env, name)
            ? []
            : [
                `${name} (${place(file, name)}): expected it in the environment, which is where it is read from. Move it.`,
              ],
        ),
      ],
    };
  };
}

/** All places where a setting is given, in the order in which they count; of the environment, or else of the file. */
function found(name: string, variable: Variable<unknown>, env: Source, file: ConfigFile): Found[] {
  if (isTakenOut(env, name)) return [];
  const names = [name, ...variable.aliases];
  const inEnvironment = names.flatMap((one) =>
    textAt(env, one).map((text) => ({ name: one, text, origin: alias(one) })),
  );
  if (inEnvironment.length > 0) return inEnvironment;
  return names.flatMap((one) =>
    textAt(file.values, one).map((text) => ({
      name: one,
      text,
      origin: `${place(file, one)}${one === name ? "" : `, ${one}`}`,
    })),
  );

  function alias(one: string): string | undefined {
    return one === name ? undefined : one;
  }
}

function textAt(source: Source, name: string): string[] {
  const text = source[name]?.trim();
  return text === undefined || text === "" ? [] : [text];
}

/** A name that is there without a value was taken out by whoever overrides settings, wherever else it stands. */
function isTakenOut(env: Source, name: string): boolean {
  return Object.hasOwn(env, name) && env[name] === undefined;
}

/** The file is ours alone, so every name in it has to be known. */
function unknownInFile(known: Table, env: Source, file: ConfigFile): string[] {
  const names = new Set(Object.entries(known).flatMap(([name, variable]) => [name, ...variable.aliases]));
  return Object.keys(file.lines).flatMap((name) => {
    if (isTakenOut(env, name)) return [];
    if (name === "TASKIQ_CONFIG") return [`${name} (${place(file, name)}): a file cannot name another one. Remove it.`];
    if (names.has(name)) return [];
    const [line] = describeUnknownNames(known, { [name]: "" }, "");
    return line === undefined ? [] : [line.replace(`${name}:`, `${name} (${place(file, name)}):`)];
  });
}

function place(file: ConfigFile, name: string): string {
  return `${basename(file.path)}, line ${file.lines[name]}`;
}
