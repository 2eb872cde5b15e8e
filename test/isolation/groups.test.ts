import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { createProcessGroups } from "../../runtime/isolation/groups.ts";
import { isAlive } from "../support/processes.ts";
import { until } from "../support/until.ts";
import { groupIsGone, processes } from "./processes.ts";

const OWNER = fileURLToPath(new URL("./owner.ts", import.meta.url));

type Owner = { readonly pid: number; line(): Promise<number[]>; tell(): void; kill(): Promise<void> };

function startOwner(): Owner {
  const child = spawn(process.execPath, [OWNER], { stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid ?? -1,
    async line() {
      const { value } = await lines.next();
      return String(value).split(" ").slice(1).map(Number);
    },
    tell: () => void child.stdin.write("more\n"),
    async kill() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** The shell that waits for the end of this process. */
function guardOf(pid: number, groups: readonly number[]): number | undefined {
  return processes().find((one) => one.parent === pid && one.group === one.pid && !groups.includes(one.pid))?.pid;
}

test("kill -9 of the process: its groups are killed though they ignore SIGTERM, and the guard is gone with them", async () => {
  const owner = startOwner();
  const [first = -1, second = -1, ended = -1] = await owner.line();
  await until(() => groupIsGone(ended), { what: "the group that was ended" });
  expect([isAlive(first), isAlive(second)]).toEqual([true, true]);
  const guard = await until(() => guardOf(owner.pid, [first, second, ended]));
  await owner.kill();
  await until(() => groupIsGone(first) && groupIsGone(second), { what: "the end of the groups" });
  await until(() => !isAlive(guard));
});

test("a guard that was killed is started again with the next group, and knows those before", async () => {
  const owner = startOwner();
  const [first = -1, second = -1, ended = -1] = await owner.line();
  const others = [first, second, ended];
  const guard = await until(() => guardOf(owner.pid, others));
  process.kill(guard, "SIGKILL");
  await until(() => !processes().some(({ pid }) => pid === guard), { what: "the owner to hear of its guard's end" });
  owner.tell();
  const [later = -1] = await owner.line();
  expect(await until(() => guardOf(owner.pid, [...others, later]))).not.toBe(guard);
  await owner.kill();
  await until(() => [first, second, later].every(groupIsGone));
});

test("close ends every group and the guard", async () => {
  const groups = createProcessGroups();
  const child = spawn("sh", ["-c", 'trap "" TERM; while :; do sleep 1; done'], { detached: true, stdio: "ignore" });
  const { pid = -1 } = child;
  groups.watch(pid);
  const guard = await until(() => guardOf(process.pid, [pid]));
  groups.close();
  await until(() => groupIsGone(pid) && !processes().some((one) => one.pid === guard));
  // A group that is over is not signalled again: its number may be somebody else's by then.
  expect(() => groups.end(pid)).not.toThrow();
});
