/**
 * The input of a task of ours, from the arguments of a call in Python. A task whose input is an object takes them by the names of its members, in
 * the order of the definition; one whose input is anything else takes one positional argument as it is.
 *
 * Values stay text: Python tells 1 from 1.0, and a number that JavaScript would round is refused instead.
 */
import { inexactNumber } from "./inexact.ts";
import { elementTexts, memberTexts } from "./json-text.ts";
import { detail } from "./mismatch.ts";

export type CallArguments = {
  /** Exact JSON text of the array of positional arguments. */
  readonly argsText: string;
  /** Exact JSON text of the object of named arguments. */
  readonly kwargsText: string;
};

export type ArgumentsInput =
  /** Exact JSON text of the input; null for none. */
  | { readonly kind: "input"; readonly text: string | null }
  /** What was expected and what came: printable ASCII, at most 200 characters. */
  | { readonly kind: "unfit"; readonly detail: string };

/** @param names of the input's members, in order; null: the input is no object with members of its own */
export function inputOfArguments(task: string, call: CallArguments, names: readonly string[] | null): ArgumentsInput {
  const args = elementTexts(call.argsText);
  const kwargs = memberTexts(call.kwargsText);
  const read = names === null ? unnamed(task, args, call.kwargsText, kwargs) : named(task, args, kwargs, names);
  if (read.kind === "unfit" || read.text === null) return read;
  const inexact = inexactNumber(read.text);
  if (inexact === null) return read;
  const where = inexact.path.join(".");
  return unfit(
    `${task}: expected numbers that a double holds exactly, got ${inexact.text} at ${where}. Send it as text.`,
  );
}

function unnamed(
  task: string,
  args: readonly string[],
  kwargsText: string,
  kwargs: ReadonlyMap<string, string>,
): ArgumentsInput {
  if (args.length === 0) return { kind: "input", text: kwargs.size === 0 ? null : kwargsText };
  if (args.length === 1 && kwargs.size === 0) return { kind: "input", text: args[0] ?? null };
  return unfit(
    `${task}() takes one positional argument, or named ones, as its input; ${args.length} positional and ${kwargs.size} named were given`,
  );
}

function named(
  task: string,
  args: readonly string[],
  kwargs: ReadonlyMap<string, string>,
  names: readonly string[],
): ArgumentsInput {
  if (args.length > names.length) {
    return unfit(
      `${task}() takes ${names.length} positional arguments (${names.join(", ")}) but ${args.length} were given`,
    );
  }
  const members = new Map<string, string>();
  for (const [index, text] of args.entries()) members.set(names[index] ?? "", text);
  for (const [name, text] of kwargs) {
    if (members.has(name)) return unfit(`${task}() got multiple values for argument '${name}'`);
    members.set(name, text);
  }
  const json = Array.from(members, ([name, text]) => `${JSON.stringify(name)}:${text}`);
  return { kind: "input", text: `{${json.join(",")}}` };
}

function unfit(sentence: string): ArgumentsInput {
  return { kind: "unfit", detail: detail(sentence) };
}
