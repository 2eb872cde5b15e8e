/** What makes an action of a function, for the files that add commands: its exit code is kept, what it throws is told. */
import type { ExitCode } from "./exit-code.ts";

/** Nothing: the command started a service, which goes on and ends the process itself. */
export type Outcome = ExitCode | undefined;

export type Act = <Args extends unknown[]>(
  work: (...args: Args) => Promise<Outcome>,
) => (...args: Args) => Promise<void>;
