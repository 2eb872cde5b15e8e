/**
 * Claims for everything that came back from polls at the same time with one statement: a worker with a backlog halves its
 * statements, an idle one claims at once. A task named twice is won once.
 */

import { type Adopted, adopt, type ForeignTask } from "../flow/adopt.ts";
import { createBatcher } from "../flow/batch.ts";
import { type ClaimedTask, type ClaimOptions, claim, declineAll, type Verdict } from "../flow/claim.ts";
import { claimBest } from "../flow/claim-best.ts";
import { claimGroups, type GroupVerdict } from "../flow/claim-group.ts";
import { claimLimited, type Ring } from "../flow/limits.ts";
import { isBusyError } from "../postgres/failure.ts";
import { isConnectionError, isSerializationError, type Transactional } from "../postgres/pool.ts";
import type { Breaker } from "./breaker.ts";
import { giveBackUnseen } from "./give-back.ts";
import type { WorkerObserver } from "./observer.ts";

export type Claimer = {
  /** A verdict for every id; null when the database is away. Rejects when something is wrong with the statement itself. */
  claim(ids: readonly string[]): Promise<ReadonlyMap<string, Verdict> | null>;
  /** FIFO queues: the first task of a group. */
  claimGroup(group: string): Promise<GroupVerdict | null>;
  /** Queues ordered by priority: the best tasks, at most so many (1 to 100). */
  claimBest(limit: number): Promise<readonly ClaimedTask[] | null>;
  /** Writes the rows of tasks of other producers, and claims those that may start where each `claims` a slot. */
  adopt(tasks: readonly ForeignTask[], claims: boolean): Promise<ReadonlyMap<string, Adopted> | null>;
  /** Why these tasks are not to be had; see `declineAll`. */
  decline(ids: readonly string[]): Promise<ReadonlyMap<string, Verdict> | null>;
};

type Verdicts = Map<string, Verdict> | null;

/** Batches of messages in one statement: five polls of ten. */
const MAX_POLLS = 5;
const TRIES = 3;
/** In one statement. */
const MAX_GROUPS = 50;
const CONTENDED: GroupVerdict = { kind: "contended" };

export function createClaimer(parts: {
  readonly database: Transactional;
  readonly breaker: Breaker;
  readonly options: ClaimOptions;
  /** The queue is ordered by priority. */
  readonly byRank: boolean;
  readonly ring: Ring;
  /** Whether an attempt of this task runs here. */
  readonly holds: (taskId: string) => boolean;
  readonly observer?: WorkerObserver | undefined;
}): Claimer {
  const batcher = createBatcher<readonly string[], Verdicts>({
    maxItems: MAX_POLLS,
    lingerMs: 0,
    maxInFlight: 1,
    run: async (polls) => shareOut(polls, await claimAll([...new Set(polls.flat())])),
  });

  const groups = createBatcher<string, GroupVerdict | null>({
    maxItems: MAX_GROUPS,
    lingerMs: 0,
    maxInFlight: 1,
    run: async (wanted) => {
      const verdicts = await claimOrNull(() => claimGroups(parts.database, [...new Set(wanted)], parts.options), null);
      if (verdicts !== null) parts.observer?.declined(verdicts.values());
      // Asked for twice in one batch: one of them gets the task.
      return wanted.map((group, index) => {
        if (verdicts === null) return null;
        return wanted.indexOf(group) === index ? (verdicts.get(group) ?? CONTENDED) : CONTENDED;
      });
    },
  });

  async function claimAll(ids: readonly string[]): Promise<Verdicts> {
    const verdicts = await claimOrNull(() => claim(parts.database, ids, parts.options), ids);
    const limited = [...(verdicts ?? [])].flatMap(([id, verdict]) => (verdict.kind === "limited" ? [id] : []));
    if (verdicts === null || limited.length === 0) return counted(verdicts);
    const claimed = await claimOrNull(() => claimLimited(parts.database, limited, parts.options, parts.ring), limited);
    // The others were won already: without an answer these are looked at again.
    for (const id of claimed === null ? limited : []) verdicts.set(id, { kind: "contended" });
    for (const task of claimed ?? []) verdicts.set(task.id, { kind: "claimed", task });
    return counted(verdicts);
  }

  function counted<V extends ReadonlyMap<string, Verdict> | null>(verdicts: V): V {
    if (verdicts !== null) parts.observer?.declined(verdicts.values());
    return verdicts;
  }

  /** @param ids the tasks it may have claimed when its answer is lost; null: any */
  async function claimOrNull<T>(work: () => Promise<T>, ids: readonly string[] | null): Promise<T | null> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (isSerializationError(error) && tries < TRIES) {
          parts.observer?.databaseRetried(error);
          continue;
        }
        if (!isConnectionError(error) && !isBusyError(error)) throw error;
        parts.breaker.trip(error);
        void giveBackUnseen(ids, { ...parts, worker: parts.options.worker });
        return null;
      }
    }
  }

  return {
    claim: (ids) => (ids.length === 0 ? Promise.resolve(new Map()) : batcher.add(ids)),
    claimGroup: (group) => groups.add(group),
    adopt: (tasks, claims) =>
      claimOrNull(
        () => adopt(parts.database, tasks, { ...parts.options, byRank: parts.byRank, claims }),
        tasks.map(({ id }) => id),
      ),
    claimBest: (limit) => claimOrNull(() => claimBest(parts.database, limit, parts.options), null),
    decline: async (ids) => counted(await claimOrNull(() => declineAll(parts.database, ids, parts.options), [])),
  };
}

/** The first poll that names a task gets its attempt; to the others it is running. */
function shareOut(polls: readonly (readonly string[])[], verdicts: Verdicts): Verdicts[] {
  if (verdicts === null || polls.length === 1) return polls.map(() => verdicts);
  const given = new Set<string>();
  return polls.map((ids) => {
    const own = new Map<string, Verdict>();
    for (const id of ids) {
      const verdict = verdicts.get(id);
      if (verdict === undefined) continue;
      own.set(id, verdict.kind === "claimed" && given.has(id) ? { kind: "running" } : verdict);
      given.add(id);
    }
    return own;
  });
}
