/** What the doctor finds: one thing a finding, and what to do about it. */

/** `fail`: something does not work. `warn`: it works, but not as it should. */
export type Level = "ok" | "warn" | "fail";

export type Finding = {
  /** What was looked at: `database`, `queue default`. */
  readonly check: string;
  readonly level: Level;
  readonly message: string;
  /** What to do; null where nothing is to be done. */
  readonly advice: string | null;
};

export function ok(check: string, message: string): Finding {
  return { check, level: "ok", message, advice: null };
}

export function warn(check: string, message: string, advice: string): Finding {
  return { check, level: "warn", message, advice };
}

export function fail(check: string, message: string, advice: string | null): Finding {
  return { check, level: "fail", message, advice };
}
