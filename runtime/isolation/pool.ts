/**
 * The child processes of a worker, in which tasks with `isolation: "process"` run, one attempt in one process at a time.
 *
 * Some are forked ahead, so that an attempt need not wait for a process to start; those that ran an attempt are kept for the next one. One that
 * crashed, was killed or had its attempt aborted is replaced: what a cancelled handler has left behind ends with it. The slots of the
 * worker bound how many run; beyond those forked ahead, idle ones go after a minute.
 */
import type { Clock } from "../clock.ts";
import type { Context } from "../define/context.ts";
import { DEFAULT_PROCESS, type ProcessOptions, type TaskDefinition } from "../define/task.ts";
import type { Attempt } from "../flow/attempt.ts";
import type { Reported, TaskProcesses } from "../flow/execute.ts";
import type { Log } from "../log.ts";
import { attemptIds } from "../tracing/attempt-ids.ts";
import { type Environment, processEnvironment } from "./environment.ts";
import type { ProcessGroups } from "./groups.ts";
import type { AttemptFacts } from "./messages.ts";
import { startTaskProcess, type TaskProcess } from "./task-process.ts";

export type ProcessPool = TaskProcesses & {
  /** Forks ahead for these tasks. */
  start(definitions: Iterable<TaskDefinition>): void;
  /** Ends all processes at once, whatever they do; resolves when they are gone. */
  close(): Promise<void>;
  /** How many processes there are, idle ones included. */
  readonly size: number;
};

export type ProcessPoolOptions = {
  /** What `TASKIQ_TASK_MODULES` names: loaded beside the tasks baked in. */
  readonly modules: readonly string[];
  /** This process's; a child gets what processEnvironment leaves of it. */
  readonly environment: Environment;
  /** Names a child is given although they look like secrets. */
  readonly allowedNames: readonly string[];
  /** Processes forked ahead for each kind: tasks with one memory limit and one rule for credentials share a kind. */
  readonly warm: number;
  readonly maxPayloadBytes: number;
  readonly groups: ProcessGroups;
  readonly log: Log;
  readonly clock: Clock;
  /** How long idle ones beyond `warm` are kept. Default 60,000 ms. */
  readonly idleMs?: number;
};

/** Processes that are exchangeable. */
type Kind = { readonly options: ProcessOptions; readonly idle: Idle[] };
type Idle = { readonly child: TaskProcess; readonly sinceMs: number };

const IDLE_MS = 60_000;
/** Longer only where the system itself hangs, and then nobody can help it. */
const CLOSE_MS = 5_000;

export function createProcessPool(options: ProcessPoolOptions): ProcessPool {
  const { log, clock } = options;
  const idleMs = options.idleMs ?? IDLE_MS;
  const kinds = new Map<string, Kind>();
  const children = new Set<TaskProcess>();
  let closed = false;
  const trimmer = setInterval(trim, Math.max(10, idleMs / 6));
  trimmer.unref();

  function kindOf({ process = DEFAULT_PROCESS }: TaskDefinition): Kind {
    const key = `${process.memoryMb} ${process.awsCredentials}`;
    const known = kinds.get(key);
    if (known !== undefined) return known;
    const kind: Kind = { options: process, idle: [] };
    kinds.set(key, kind);
    return kind;
  }

  function open({ options: { memoryMb, awsCredentials }, idle }: Kind): TaskProcess {
    const { modules, groups, environment, allowedNames: allowed } = options;
    const child = startTaskProcess({
      modules,
      environment: processEnvironment(environment, { awsCredentials, allowed }),
      memoryMb,
      groups,
      log,
      clock,
    });
    children.add(child);
    void child.gone.then(() => {
      children.delete(child);
      const at = idle.findIndex((one) => one.child === child);
      if (at >= 0) idle.splice(at, 1);
    });
    return child;
  }

  /** Not after a child is gone by itself: one that cannot start would be started for ever. The next attempt tries again. */
  function forkAhead(kind: Kind): void {
    while (!closed && kind.idle.length < options.warm) kind.idle.unshift({ child: open(kind), sinceMs: clock.nowMs() });
  }

  /** The one used last is the warmest. */
  function take(kind: Kind): TaskProcess {
    for (let found = kind.idle.pop(); found !== undefined; found = kind.idle.pop()) {
      if (found.child.usable) return found.child;
    }
    return open(kind);
  }

  function giveBack(kind: Kind, child: TaskProcess): void {
    if (child.usable && !closed) kind.idle.push({ child, sinceMs: clock.nowMs() });
    else child.kill();
    forkAhead(kind);
  }

  function trim(): void {
    for (const { idle } of kinds.values()) {
      while (idle.length > options.warm) {
        const oldest = idle[0];
        if (oldest === undefined || clock.nowMs() - oldest.sinceMs < idleMs) break;
        idle.shift();
        oldest.child.kill();
      }
    }
  }

  async function run(
    attempt: Attempt,
    definition: TaskDefinition,
    inputText: string | null,
    context: Context,
  ): Promise<Reported> {
    const kind = kindOf(definition);
    const child = take(kind);
    forkAhead(kind);
    const signal = attempt.signal();
    const aborting = Promise.withResolvers<"aborted">();
    let phase: "starting" | "running" | "over" = "starting";
    let killed = false;
    const onAbort = () => {
      aborting.resolve("aborted");
      if (phase === "running" && attempt.abortReason !== null) child.abort(attempt.abortReason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    void attempt.abandoned.then(() => {
      if (phase !== "running") return;
      killed = true;
      child.kill();
      log.warn("child.killed", { ...attemptIds(attempt.task), pid: child.pid });
    });
    try {
      if (signal.aborted) onAbort();
      // It goes on to start, for the next attempt.
      if ((await Promise.race([child.ready, aborting.promise])) === "aborted") throw notBegun(attempt);
      phase = "running";
      return await child.run({
        facts: factsOf(context),
        inputText,
        maxPayloadBytes: options.maxPayloadBytes,
        onProgress: (fraction, message) => context.progress(fraction, message),
        onLog: (level, message, fields) => context.log[level](message, fields),
      });
    } catch (error) {
      // The worker has stopped waiting: whatever is recorded now, it is no failure of the handler.
      if (closed) attempt.abort("shutdown");
      if (killed || closed) return { kind: "killed" };
      if (phase === "running") log.warn("child.crashed", { ...attemptIds(attempt.task), pid: child.pid, error });
      throw error;
    } finally {
      if (phase === "running" && attempt.abortReason !== null) child.kill();
      phase = "over";
      signal.removeEventListener("abort", onAbort);
      giveBack(kind, child);
    }
  }

  return {
    run,
    start(definitions) {
      for (const definition of definitions) if (definition.process !== undefined) forkAhead(kindOf(definition));
    },
    async close() {
      closed = true;
      clearInterval(trimmer);
      const all = [...children];
      for (const child of all) child.kill();
      const waiting = new AbortController();
      const overdue = clock.after(CLOSE_MS, waiting.signal).catch(() => {});
      await Promise.race([Promise.all(all.map((child) => child.gone)), overdue]);
      waiting.abort();
    },
    get size() {
      return children.size;
    },
  };
}

function factsOf(context: Context): AttemptFacts {
  const { taskId, task, queue, tenant, attempt, failures, labels, idempotencyKey, traceparent } = context;
  return { taskId, task, queue, tenant, attempt, failures, labels, idempotencyKey, traceparent };
}

function notBegun(attempt: Attempt): Error {
  return new Error(`aborted before it began: ${attempt.abortReason}`);
}
