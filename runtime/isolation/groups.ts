/**
 * The process groups that this process has started and that must not outlive it, however it ends: drained, crashed or killed.
 *
 * Handlers here cannot promise that, and a child that computes without a pause hears of nothing. So a shell waits at the far end of a
 * pipe: it is told of every group, the system closes the pipe when this process is gone, and then it kills those that are left.
 * It costs one sleeping `sh` for a process that has started any. In a session of its own: what ends this process does not end it.
 *
 * Only members of the group are reached: what has made a group of its own (setsid) is not.
 */
import { type ChildProcess, spawn } from "node:child_process";

export type ProcessGroups = {
  /** Kills the group of this leader if this process dies. */
  watch(pid: number): void;
  /** Ends every process of the group at once, and forgets it. */
  end(pid: number): void;
  /** Ends all groups, and the guard. */
  close(): void;
};

const SCRIPT = `
groups=' '
while read -r verb pid; do
  case $verb in
    watch) groups="$groups$pid " ;;
    forget) case $groups in *" $pid "*) groups="\${groups%% $pid *} \${groups#* $pid }" ;; esac ;;
    done) exit 0 ;;
  esac
done
for pid in $groups; do kill -s KILL -- "-$pid"; done
`;

export function createProcessGroups(): ProcessGroups {
  const watched = new Set<number>();
  let guard: ChildProcess | null = null;

  function tell(line: string): void {
    guard ??= startGuard();
    guard.stdin?.write(line);
  }

  function startGuard(): ChildProcess {
    const shell = spawn("/bin/sh", ["-c", SCRIPT, "taskiq-guard"], {
      cwd: "/",
      env: {},
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    const gone = () => {
      if (guard === shell) guard = null;
    };
    // Without /bin/sh there is no guard.
    shell.on("error", gone);
    shell.on("exit", (_code, signal) => {
      gone();
      // One that was killed is started again at once, with all that run: it may have died with a line of ours unread.
      if (signal !== null && guard === null && watched.size > 0) guard = startGuard();
    });
    shell.stdin.on("error", () => {});
    shell.unref();
    for (const pid of watched) shell.stdin.write(`watch ${pid}\n`);
    return shell;
  }

  function end(pid: number): void {
    if (!watched.delete(pid)) return;
    signalGroup(pid, "SIGKILL");
    guard?.stdin?.write(`forget ${pid}\n`);
  }

  return {
    watch(pid) {
      // Told first: a guard that starts now would otherwise hear of it twice.
      tell(`watch ${pid}\n`);
      watched.add(pid);
    },
    end,
    close() {
      for (const pid of [...watched]) end(pid);
      guard?.stdin?.end("done\n");
      guard = null;
    },
  };
}

/** Sends a signal to every process of a group; one that is gone already is none the worse. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: all of them have ended.
  }
}
