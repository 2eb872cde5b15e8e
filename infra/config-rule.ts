/** What a rule between keys of the configuration is, for the files that have some. */
import type { KeyName, Values } from "./config-keys.ts";

export type Rule = {
  /** The key to change, and what else the rule reads. */
  readonly name: KeyName;
  readonly reads: readonly KeyName[];
  holds(values: Values, stack: string): boolean;
  expected(values: Values, stack: string): string;
  /** What to do. */
  readonly hint: string;
};
