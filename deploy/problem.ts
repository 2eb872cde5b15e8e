/** What stops a task, in words for whoever started it: what was expected, what was found, what to do. */

export class Problem extends Error {
  override readonly name = "Problem";
}

/** Runs the whole of a script. A problem is printed as it is, anything else with its stack; both end with exit code 1. */
export async function runTask(task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    console.error(error instanceof Problem ? `\n${error.message}` : error);
    process.exitCode = 1;
  }
}

export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
