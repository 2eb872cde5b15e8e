/** The Node that runs this: new enough to run TypeScript as it is. */
import { type Finding, fail, ok, warn } from "./finding.ts";

const CHECK = "Node";
/** The first that runs TypeScript without a flag, and the one this is developed on. */
const OLDEST = { major: 22, minor: 18 };
const USUAL_MAJOR = 24;

/** `version`: `24.21.0`. */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const told = `Node ${version}.`;
  if (major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor)) {
    return fail(CHECK, told, `Install Node ${USUAL_MAJOR}: it runs TypeScript as it is.`);
  }
  if (major < USUAL_MAJOR) return warn(CHECK, told, `Node ${USUAL_MAJOR} is what this is tested on.`);
  return ok(CHECK, told);
}
