/** What the tests of processes see of the system: who belongs to whom, and a pool that ends with its test. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import type { TaskDefinition } from "../../runtime/define/task.ts";
import { createProcessGroups } from "../../runtime/isolation/groups.ts";
import { createProcessPool, type ProcessPool, type ProcessPoolOptions } from "../../runtime/isolation/pool.ts";
import { type Log, openLog } from "../../runtime/log.ts";

export const APART = fileURLToPath(new URL("./tasks/apart.ts", import.meta.url));

const SILENT = openLog({ level: "silent", format: "json", service: "test", write: () => {} });

export type Seen = { readonly pid: number; readonly parent: number; readonly group: number; readonly state: string };

/** Every process of the machine that can be seen, zombies included. */
export function processes(): Seen[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        // The name of the program stands in brackets and may hold anything.
        const [state = "", parent, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return [{ pid: Number(name), parent: Number(parent), group: Number(group), state }];
      } catch {
        return [];
      }
    });
}

/** Whether anything of this group is there, a zombie or not. */
export function groupIsGone(leader: number): boolean {
  return !processes().some(({ group }) => group === leader);
}

/** Groups of their own that children of this process lead; `zombies` are those of its children that nobody has waited for. */
export function childGroups(parent = process.pid): { leaders: number[]; zombies: number[] } {
  const children = processes().filter((one) => one.parent === parent);
  return {
    leaders: children.filter(({ pid, group }) => pid === group).map(({ pid }) => pid),
    zombies: children.filter(({ state }) => state === "Z").map(({ pid }) => pid),
  };
}

/** Makes pools that are closed when the test is over. */
export function usePools(): (
  options?: Partial<ProcessPoolOptions>,
  definitions?: readonly TaskDefinition[],
) => ProcessPool {
  let closes: (() => Promise<void>)[] = [];
  afterEach(async () => {
    await Promise.all(closes.map((close) => close()));
    closes = [];
  });
  return (options = {}) => {
    const groups = options.groups ?? createProcessGroups();
    const pool = createProcessPool({
      modules: [APART],
      environment: process.env,
      allowedNames: [],
      warm: 0,
      maxPayloadBytes: 1_000_000,
      groups,
      log: options.log ?? (SILENT satisfies Log),
      clock: systemClock,
      ...options,
    });
    closes.push(async () => {
      await pool.close();
      groups.close();
    });
    return pool;
  };
}
