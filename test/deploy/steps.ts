/** Runs claims one after the other, says how long each took, and counts. */
import { describe, Problem } from "../../deploy/problem.ts";

export type Steps = {
  /** Does `work`, which throws where the claim does not hold; what it gives is printed beside it. */
  step(claim: string, work: () => Promise<string | undefined>): Promise<void>;
  /** The same for a claim that everything after it needs: it throws as well. */
  must(claim: string, work: () => Promise<string | undefined>): Promise<void>;
  /** Prints what cannot be shown here, and why. */
  note(text: string): void;
  /** Prints the counts; true when nothing failed. */
  summary(): boolean;
};

/** Thrown by `must`, after its claim was counted. */
export class Abandoned extends Error {}

export function createSteps(): Steps {
  const startedMs = performance.now();
  let passed = 0;
  let failed = 0;

  async function attempt(claim: string, work: () => Promise<string | undefined>): Promise<boolean> {
    const beganMs = performance.now();
    const line = (mark: string, rest: string) =>
      console.log(`${mark} ${clock(beganMs - startedMs)} +${clock(performance.now() - beganMs)}  ${claim}${rest}`);
    try {
      const detail = await work();
      passed++;
      line("ok  ", detail === undefined ? "" : `: ${detail}`);
      return true;
    } catch (error) {
      failed++;
      line("FAIL", `\n${indent(error instanceof Problem ? error.message : stackOf(error))}`);
      return false;
    }
  }

  return {
    async step(claim, work) {
      await attempt(claim, work);
    },
    async must(claim, work) {
      if (!(await attempt(claim, work))) throw new Abandoned(claim);
    },
    note: (text) => console.log(`note ${text}`),
    summary() {
      console.log(`\n${passed} passed, ${failed} failed`);
      return failed === 0;
    },
  };
}

/** Throws with `what` unless `holds`. */
export function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Problem(what);
}

export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  expect(found === wanted, `${what}: expected ${wanted}, got ${found}`);
}

function clock(ms: number): string {
  return `${(ms / 1_000).toFixed(1).padStart(6)} s`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, "       ");
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : describe(error);
}
