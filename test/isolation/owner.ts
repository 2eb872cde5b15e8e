/** A process that starts groups which ignore SIGTERM, watches them, says who they are, and waits to be killed. */
import { spawn } from "node:child_process";
import { createProcessGroups } from "../../runtime/isolation/groups.ts";

const groups = createProcessGroups();
const deaf = () => spawn("sh", ["-c", 'trap "" TERM; while :; do sleep 1; done'], { detached: true, stdio: "ignore" });
const [first, second, ended] = [deaf(), deaf(), deaf()].map(({ pid = -1 }) => {
  groups.watch(pid);
  return pid;
});
if (ended !== undefined) groups.end(ended);
// On its standard input it is told to watch one more.
process.stdin.once("data", () => {
  const { pid = -1 } = deaf();
  groups.watch(pid);
  process.stdout.write(`later ${pid}\n`);
});
process.stdout.write(`started ${first} ${second} ${ended}\n`);
