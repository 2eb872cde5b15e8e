/** What is wrong with a value from outside, by the path of the field: bounded, because an answer must not be as long as the body it refuses. */
import type { z } from "zod";

/** `path` as in `tasks.3.input.key`; empty for the whole. */
export type Issue = { readonly path: string; readonly message: string };

const MAX_ISSUES = 100;
const MAX_TEXT_CHARS = 500;
const TOLD_IN_WORDS = 3;

/** The first 100 issues of a schema. `at` is where the value stands in what the caller sent. */
export function issuesOf(error: z.ZodError, at: readonly PropertyKey[] = []): Issue[] {
  const issues = error.issues.slice(0, MAX_ISSUES).flatMap((issue) => {
    // A field too many is an issue of that field, not of the object it stands in.
    if (issue.code === "unrecognized_keys") {
      return issue.keys
        .slice(0, MAX_ISSUES)
        .map((key) => ({ path: joined([...at, ...issue.path, key]), message: "this field is not known here" }));
    }
    return [{ path: joined([...at, ...issue.path]), message: issue.message.replace(/^Invalid input: /, "") }];
  });
  return boundIssues(issues);
}

export function boundIssues(issues: readonly Issue[]): Issue[] {
  return issues
    .slice(0, MAX_ISSUES)
    .map(({ path, message }) => ({ path: boundText(path), message: boundText(message) }));
}

export function boundText(text: string): string {
  return text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS)}…`;
}

/** The first issues in words. */
export function inWords(issues: readonly Issue[]): string {
  const told = issues
    .slice(0, TOLD_IN_WORDS)
    .map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  return [...told, ...(issues.length > told.length ? ["and more"] : [])].join("; ");
}

function joined(path: readonly PropertyKey[]): string {
  return path.map(String).join(".");
}
