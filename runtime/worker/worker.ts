/**
 * The worker: polls its queues, claims, runs, records.
 *
 *   running ──► draining ──► stopped
 *
 * draining: no new polls; the open ones return and their messages go back; what runs has `drainWorkMs` to finish, then it is
 * aborted with reason `shutdown` and its tasks are queued again. A worker also drains by itself when half of its slots are
 * held by handlers that ignore their abort, and when it has held up a deployment for too long.
 *
 * Over 300 lines: the states and what belongs to each are one thing, and every part of the worker is connected here.
 */

import type { Clock } from "../clock.ts";
import { chainMiddlewares, type ExecutingTask, type Middleware } from "../define/middleware.ts";
import type { Registry } from "../define/registry.ts";
import type { TaskDefinition } from "../define/task.ts";
import { type Attempt, startAttempt } from "../flow/attempt.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import { type Execution, execute, executingOf, type Outcome } from "../flow/execute.ts";
import { createLimitBook } from "../flow/limit-book.ts";
import type { Ring } from "../flow/limits.ts";
import type { ProcessPool } from "../isolation/pool.ts";
import type { Log } from "../log.ts";
import { allowsContinuing } from "../model/queue.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import { followProgress, type Liveness } from "../probe.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import { attemptIds } from "../tracing/attempt-ids.ts";
import { inSpan, NO_TRACING, type Tracing } from "../tracing/tracing.ts";
import { createBreaker } from "./breaker.ts";
import { watchEventLoop } from "./event-loop.ts";
import { giveBackUnseen } from "./give-back.ts";
import { createHandOn } from "./hand-on.ts";
import { startHeartbeat } from "./heartbeat.ts";
import type { WorkerObserver, WorkerState } from "./observer.ts";
import type { Protection } from "./protection.ts";
import { createRecorder, type Entered } from "./record.ts";
import { beat, retire } from "./registry.ts";
import { serveQueue } from "./serve-queue.ts";
import { watchSignals } from "./signals.ts";
import { createSlots, type Share } from "./slots.ts";
import { createStepInputs } from "./step-input.ts";

export type WorkerParts = {
  readonly name: string;
  readonly version: string;
  readonly registry: Registry;
  readonly middlewares: readonly Middleware[];
  readonly queues: QueueSet;
  /** Names of the queues to poll. */
  readonly queueNames: readonly string[];
  readonly payloads: PayloadStore;
  /** Claims and records. */
  readonly database: Database;
  /** `commit(tx)`. */
  readonly commitDatabase: Database;
  /** Sends the doorbells of tasks that waited for what has ended here and find no room here. Absent: the executor's loop does. */
  readonly ring?: Ring;
  /** Heartbeats: one connection that nothing else may take. */
  readonly beatDatabase: Database;
  readonly log: Log;
  readonly clock: Clock;
  /** Runs the tasks with isolation `process`. Absent: the worker refuses to start with one. */
  readonly processes?: ProcessPool;
  /** From being scaled in while long work runs. Absent: nobody would. */
  readonly protection?: Protection;
  /** Of the task definition. Absent or null: outside ECS. */
  readonly revision?: number | null;
  /** Counts what happens here. */
  readonly metrics?: WorkerObserver;
  /** Makes a span of each attempt. Absent: there are none. */
  readonly tracing?: Tracing;
  readonly settings: WorkerSettings;
};

export type WorkerSettings = {
  readonly slots: number;
  readonly leaseMs: number;
  /** Longest grace of attempts that the drain aborts; a task's own counts where it is shorter. */
  readonly graceMs: number;
  readonly extendIntervalMs: number;
  readonly receiveWaitMs: number;
  readonly completeLingerMs: number;
  readonly commitTimeoutMs: number;
  readonly unknownTaskAfterMs: number;
  readonly drainWorkMs: number;
  readonly drainBudgetMs: number;
  readonly inlinePayloadBytes: number;
  readonly maxPayloadBytes: number;
};

export type Worker = {
  start(): void;
  /** Begins the drain, or joins the one under way. Resolves when the worker has stopped. */
  drain(): Promise<void>;
  /** Resolves when the worker has stopped, for whatever reason. */
  readonly stopped: Promise<void>;
  /** For the liveness probe: looks at this process only, never at the database or SQS. */
  live(): Liveness;
  readonly running: number;
};

/** Another attempt owns the task: its row was not touched. */
const NOTHING = { recorded: "nothing", error: null, retryInMs: null, next: null } as const;
/** Steps of a chain that a slot takes one after the other without a message; the next one goes through the queue, for others to come in between. */
const MOST_IN_A_ROW = 16;

export function createWorker(parts: WorkerParts): Worker {
  const { log, clock, settings, registry, metrics, protection, tracing = NO_TRACING } = parts;
  const attempts = new Map<string, Attempt>();
  const slots = createSlots(settings.slots);
  const middlewares = chainMiddlewares(parts.middlewares, log);
  const breaker = createBreaker({ database: parts.database, log, clock });
  const stopping = new AbortController();
  const settling = new Set<Promise<void>>();
  const knownTasks = [...registry.keys()];
  const limits = createLimitBook(parts.database);
  const polling = followProgress(clock);
  /** Zero outside ECS, where no revision is newer than another. */
  const revision = parts.revision ?? 0;
  let newest = revision;
  let gaveUp = false;
  let aborting = false;
  let retired = false;
  let finished = 0;
  let requeued = 0;
  let draining: Promise<void> | undefined;
  let polls: Promise<void>[] = [];
  let onStopped: () => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    onStopped = resolve;
  });

  /** Queues on which a doorbell says no more than that its task is runnable. */
  const continued = new Set(parts.queueNames.filter((name) => allowsContinuing(parts.queues.options(name))));
  const handOn = createHandOn({ database: parts.database, send: parts.ring ?? (() => {}), track, log });
  const recorder = createRecorder({
    database: parts.database,
    commitDatabase: parts.commitDatabase,
    payloads: parts.payloads,
    breaker,
    ring: handOn.ring,
    announce: parts.ring ?? (() => {}),
    offer: { worker: parts.name, leaseMs: settings.leaseMs, knownTasks },
    giveBackUnseen: () =>
      void giveBackUnseen(null, { ...parts, breaker, worker: parts.name, holds, ring: handOn.ring }),
    log,
    clock,
    lingerMs: settings.completeLingerMs,
    commitTimeoutMs: settings.commitTimeoutMs,
    inlinePayloadBytes: settings.inlinePayloadBytes,
    gaveUp: () => gaveUp,
    observer: metrics,
  });
  const executeParts = {
    payloads: parts.payloads,
    ...createStepInputs({ ...parts, maxPayloadBytes: settings.maxPayloadBytes }),
    middlewares,
    log,
    maxPayloadBytes: settings.maxPayloadBytes,
    ...(parts.processes && { processes: parts.processes }),
  };
  const heartbeat = startHeartbeat({
    database: parts.beatDatabase,
    attempts,
    breaker,
    log,
    clock,
    leaseMs: settings.leaseMs,
    intervalMs: settings.extendIntervalMs,
    // A command goes on while the database is away: to end it would cost hours that nothing threatens yet.
    observer: metrics,
    outlastsLease: ({ task }) => registry.get(task.name)?.policy.isolation === "command",
    onBeat: sayAlive,
  });
  const signals = watchSignals({
    database: parts.database,
    attempts,
    queueNames: parts.queueNames,
    clock,
    away: () => breaker.open,
    observer: metrics,
  });
  const eventLoop = watchEventLoop({ attempts, log, clock });

  function start(): void {
    const unknown = parts.queueNames.find((name) => parts.queues.get(name) === undefined);
    if (unknown !== undefined) {
      throw new RangeError(`queue ${unknown}: expected one of ${parts.queues.names.join(", ")}`);
    }
    const apart = [...registry.values()].find((task) => task.policy.isolation === "process");
    if (apart !== undefined && parts.processes === undefined) {
      throw new RangeError(`task ${apart.name}: expected a pool of processes for isolation "process"`);
    }
    parts.processes?.start(registry.values());
    log.info("worker.started", { queues: parts.queueNames, slots: settings.slots, tasks: knownTasks });
    void sayAlive().catch((error) => breaker.trip(error));
    metrics?.started(look);
    protection?.start({ attempts, isOutdated: () => newest > revision, giveUp: () => void drain() });
    polls = parts.queueNames.map(serve);
  }

  function holds(taskId: string): boolean {
    return attempts.has(taskId);
  }

  function look(): WorkerState {
    const draining = stopping.signal.aborted;
    const tasks = [...attempts.values()].map(({ task }) => task);
    return { running: attempts.size, slots: slots.total, leakedSlots: slots.leaked, draining, tasks };
  }

  async function sayAlive(): Promise<void> {
    if (retired) return;
    const alive = await beat(parts.beatDatabase, {
      name: parts.name,
      version: parts.version,
      queues: parts.queueNames,
      slots: settings.slots,
      running: attempts.size,
      draining: stopping.signal.aborted,
      revision: parts.revision ?? null,
    });
    // Not the highest ever seen: a revision that was rolled back is no successor.
    newest = alive ?? revision;
  }

  async function serve(name: string): Promise<void> {
    const { clock, log, queues, database } = parts;
    const stopRenewing = await serveQueue({
      name,
      queues,
      database,
      slots,
      breaker,
      handOn,
      signals,
      observer: metrics,
      log,
      clock,
      claim: {
        worker: parts.name,
        leaseMs: settings.leaseMs,
        knownTasks,
        unknownTaskAfterMs: settings.unknownTaskAfterMs,
      },
      foreign: {
        registry,
        limits,
        payloads: parts.payloads,
        inlinePayloadBytes: settings.inlinePayloadBytes,
        maxPayloadBytes: settings.maxPayloadBytes,
      },
      receiveWaitMs: settings.receiveWaitMs,
      extendIntervalMs: settings.extendIntervalMs,
      stopping: stopping.signal,
      holds,
      run: runAttempt,
      track,
      onProgress: polling.moved,
    });
    if (stopRenewing !== undefined) void stopped.then(stopRenewing);
  }

  function track(work: Promise<void>): void {
    settling.add(work);
    void work.finally(() => settling.delete(work));
  }

  /** Runs the task, and in the same slot the steps that are claimed with its end. */
  async function runAttempt(task: ClaimedTask, share: Share): Promise<void> {
    let next: ClaimedTask | null = task;
    for (let inARow = 1; next !== null; inARow++) next = await runOne(next, share, inARow < MOST_IN_A_ROW);
  }

  /** Releases its slot, unless it returns a step that goes on in it. */
  async function runOne(task: ClaimedTask, share: Share, mayContinue: boolean): Promise<ClaimedTask | null> {
    const attempt = startAttempt(task, clock.nowMs());
    // The task came back to this very worker: the attempt before is not the owner any more.
    attempts.get(task.id)?.abort("lease_lost");
    attempts.set(task.id, attempt);
    // Its claim was on its way when the others were aborted.
    if (aborting) attempt.abort("shutdown", settings.graceMs);
    metrics?.attemptStarted(task);
    const span = tracing.process(task, { wallMs: clock.wallMs() });
    const executing = executingOf(task, span?.traceContext ?? task.traceContext);
    let leaked = false;
    let next: ClaimedTask | null = null;
    try {
      // The claim only takes tasks that this worker knows.
      const definition = registry.get(task.name) as TaskDefinition;
      const execution = await inSpan(span, () => execute(attempt, definition, executing, executeParts));
      const outcome = heartbeat.stopped.has(attempt) ? givenBack(execution.outcome) : execution.outcome;
      if (execution.leaked !== null) {
        leaked = true;
        leak(executing, share, execution.leaked);
      }
      const result = {
        kind: outcome.kind,
        error: outcome.kind === "failed" || outcome.kind === "cancelled" ? outcome.error : null,
        durationMs: clock.nowMs() - attempt.startedMs,
      };
      await middlewares.call("postExecute", executing, result);
      const continues = mayContinue && !leaked && !stopping.signal.aborted && continued.has(task.queue);
      const entered = await inSpan(span, () => record(attempt, definition, { ...execution, outcome }, continues));
      const { recorded } = entered;
      next = entered.next;
      metrics?.attemptEnded(task, result.kind, recorded);
      if (attempt.abortReason === "cancelled" && attempt.outlastedGrace) metrics?.outlastedGrace();
      span?.end(entered);
      const { next: _, ...saved } = entered;
      await middlewares.call("postSave", executing, { ...result, ...saved });
      if (recorded === "queued" && outcome.kind === "released") requeued++;
      else finished++;
    } catch (error) {
      // Only when the process gives up on the database: the lease runs out and the reaper finds the task.
      log.error("complete.failed", { ...attemptIds(executing), outcomes: 1, error });
      span?.end({ recorded: "unrecorded", error: null });
    } finally {
      attempt.settle();
      // One that leaked keeps its slot until the handler ends.
      if (!leaked && next === null) share.release();
      if (attempts.get(task.id) === attempt) attempts.delete(task.id);
    }
    return next;
  }

  async function record(
    attempt: Attempt,
    definition: TaskDefinition,
    { outcome, context }: Execution,
    continues: boolean,
  ): Promise<Entered | typeof NOTHING> {
    if (outcome.kind === "lost") return NOTHING;
    return await recorder.record(attempt, outcome, definition, context, continues);
  }

  function leak(executing: ExecutingTask, share: Share, ended: Promise<void>): void {
    share.leak(ended);
    log.error("slot.leaked", { ...attemptIds(executing), leaked: slots.leaked, slots: slots.total });
    if (slots.leaked * 2 >= slots.total) void drain();
  }

  function drain(): Promise<void> {
    draining ??= stop();
    return draining;
  }

  async function stop(): Promise<void> {
    const startedMs = clock.nowMs();
    stopping.abort();
    slots.wake();
    log.info("worker.draining", { running: attempts.size, workMs: settings.drainWorkMs });
    const saying = breaker.open ? undefined : sayAlive().catch(() => {});
    const done = new AbortController();
    const after = (ms: number) => clock.after(ms, done.signal).catch(() => {});
    const idle = Promise.all(polls).then(settled);
    await Promise.race([idle, after(settings.drainWorkMs)]);
    aborting = true;
    if (attempts.size > 0) {
      log.info("worker.aborting", { running: attempts.size });
      for (const attempt of attempts.values()) attempt.abort("shutdown", settings.graceMs);
    }
    await Promise.race([idle, after(settings.drainBudgetMs - settings.drainWorkMs)]);
    done.abort();
    gaveUp = true;
    const away = breaker.open;
    breaker.stop();
    eventLoop.stop();
    signals.stop();
    heartbeat.stop();
    retired = true;
    // Nobody waits for what still runs in them.
    await parts.processes?.close();
    const unprotected = protection?.stop();
    await saying;
    if (!away) await retire(parts.beatDatabase, parts.name).catch(() => {});
    await unprotected;
    metrics?.stopped();
    // Neither recorded nor given back, because the database is away: their leases run out, and each costs its task a loss.
    const unrecorded = attempts.size;
    const counts = { finished, requeued, unrecorded, elapsedMs: Math.round(clock.nowMs() - startedMs) };
    if (unrecorded > 0) log.warn("worker.stopped", counts);
    else log.info("worker.stopped", counts);
    onStopped();
  }

  /** Resolves when no message is being settled and no attempt runs. */
  async function settled(): Promise<void> {
    while (settling.size > 0) await Promise.allSettled(settling);
  }

  function live(): Liveness {
    if (breaker.open) return { ok: true, why: "waiting for the database" };
    if (stopping.signal.aborted) return { ok: true, why: "draining" };
    if (slots.free === 0) return { ok: true, why: "every slot is busy" };
    return polling.live();
  }

  return {
    start,
    drain,
    stopped,
    live,
    get running() {
      return attempts.size;
    },
  };
}

/** Stopped here because the database was away: if the lease is still ours when it is back, the task is queued at no cost. */
function givenBack(outcome: Outcome): Outcome {
  return outcome.kind === "lost" ? { kind: "released" } : outcome;
}
