/** The CPU time of what runs beside the process that measures. */

import { readdirSync, readFileSync } from "node:fs";
import type { LocalStack } from "../runtime/local/stack.ts";

/** CPU time so far of a part of the stack with its children, in milliseconds; 0 where the system does not say. */
export function cpuOf(stack: LocalStack, name: "Postgres" | "SQS and S3"): number {
  const root = String(stack.parts.find((part) => part.name === name)?.pid);
  if (process.platform !== "linux") return 0;
  let ticks = 0;
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      // After the name, which may hold spaces: state, parent, …; fields 12 and 13 are user and system time in ticks of 10 ms.
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
      if (pid === root || fields[1] === root) ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It ended meanwhile.
    }
  }
  return ticks * 10;
}
