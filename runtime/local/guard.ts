/**
 * Nothing of the embedded stack outlives the process that started it, however that process ends: a thrown error, Ctrl-C, kill -9.
 * Handlers in the process itself cannot promise this, so a shell waits at the far end of a pipe. The
 * system closes the pipe when the process is gone; then the shell ends the server and removes its folders.
 * It costs one sleeping `sh` a server. If it is killed too, the server stays: the next start on the same data says so.
 */
import { spawn } from "node:child_process";

export type Guard = {
  /** The process to end if this one dies; 0 for none. */
  watch(pid: number): void;
  /** Everything has ended in order and the folders are gone: nothing is left to do. */
  close(): void;
};

// Every line names the process to end from now on; "done" ends the shell. SIGINT is a fast shutdown for Postgres
// (clients are cut off, the data is consistent), SIGQUIT, after ten seconds, one that needs recovery. The server
// removes its own pid file ($1) last; the process itself may stay visible until somebody has asked for its exit code.
const SCRIPT = `
pid=0
while read -r line; do
  [ "$line" = done ] && exit 0
  pid=$line
done
running() { [ -e "$1" ] && kill -0 "$pid"; }
tries() { n=$((n + 1)); sleep 0.1; [ $n -lt "$1" ]; }
if [ "$pid" != 0 ] && kill -INT "$pid"; then
  n=0
  while running "$1" && tries 100; do :; done
  running "$1" && kill -QUIT "$pid"
fi
shift
n=0
while [ $# -gt 0 ] && ! rm -rf -- "$@" && tries 20; do :; done
`;

/** Starts the guard of a server with this pid file. `folders` are removed if this process dies. */
export function openGuard(pidFile: string, folders: readonly string[]): Guard {
  // In a session of its own: Ctrl-C in a terminal reaches all processes of its foreground group.
  const shell = spawn("/bin/sh", ["-c", SCRIPT, "guard", pidFile, ...folders], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // Without /bin/sh there is no guard; the server itself is not affected.
  shell.on("error", () => {});
  shell.stdin.on("error", () => {});
  shell.unref();
  return {
    watch: (pid) => void shell.stdin.write(`${pid}\n`),
    close: () => void shell.stdin.end("done\n"),
  };
}
