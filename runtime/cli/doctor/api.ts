/** The API: does it answer, is it ready, and what does it say about the parts behind it? */
import { ApiError, mayPass } from "../../client/api-error.ts";
import { createClient } from "../../client/client.ts";
import type { Health, QueueHealth } from "../../client/health.ts";
import { createRequester } from "../../client/request.ts";
import { systemClock as clock } from "../../clock.ts";
import { duration } from "../text.ts";
import { CHECK_MS } from "./bounded.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

export type ApiAddress = {
  readonly url: string;
  /** Whether somebody said so. An API at the default address is only likely. */
  readonly isGiven: boolean;
  /** Default: none is sent. */
  readonly apiKey?: string | undefined;
};

const CHECK = "API";
const START = "taskiq-aws api start";

export async function checkApi({ url, isGiven, apiKey }: ApiAddress): Promise<Finding[]> {
  const settings = { baseUrl: url, fetch: globalThis.fetch, timeoutMs: CHECK_MS, maxAttempts: 1, clock };
  try {
    await createRequester({ ...settings, apiKey: null }).send({ method: "GET", path: "/readyz" });
    return describeHealth(await createClient({ ...settings, ...(apiKey !== undefined && { apiKey }) }).health(), url);
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
      const advice = "Set TASKIQ_API_KEY to a key with the scope read.";
      return [ok(CHECK, `${url} is ready.`), warn(CHECK, `It does not say how it is: ${error.detail}`, advice)];
    }
    return [describeFailure(error, { url, isGiven })];
  }
}

function describeFailure(error: unknown, { url, isGiven }: ApiAddress): Finding {
  if (!(error instanceof ApiError)) throw error;
  if (error.code === "api_unreachable") {
    if (isGiven) return fail(CHECK, error.detail, `To start it there: ${START}.`);
    return warn(
      CHECK,
      `Nothing answers at ${url}.`,
      `Say where it is with --url or TASKIQ_URL, or start it: ${START}.`,
    );
  }
  if (mayPass(error)) return fail(CHECK, `${url} is not ready: ${error.detail}`, null);
  const told = `Something else answers at ${url}.`;
  const advice = "Say where the API is with --url or TASKIQ_URL.";
  return isGiven ? fail(CHECK, told, advice) : warn(CHECK, told, advice);
}

function describeHealth(health: Health, url: string): Finding[] {
  const { status, database, workersAlive, queues } = health;
  const workers = `${workersAlive ?? "unknown"} ${workersAlive === 1 ? "worker" : "workers"} alive`;
  const told = `${url} is ready; database ${database.status}, ${workers}.`;
  const first =
    status === "ok"
      ? ok(CHECK, told)
      : warn(CHECK, `${told} ${database.error ?? ""}`.trim(), "Look at its log, and at GET /health.");
  return [first, ...queues.flatMap((queue) => describeQueue(queue, workersAlive))];
}

function describeQueue(queue: QueueHealth, workersAlive: number | null): Finding[] {
  const { name, error, workers, oldestAgeMs, unsent } = queue;
  if (error !== null) return [warn(CHECK, `Queue ${name}: ${error}`, "Look at the API's network and permissions.")];
  const waiting = oldestAgeMs === null ? "nothing waits" : `the oldest task waits since ${duration(oldestAgeMs)}`;
  const told = `Queue ${name}: ${waiting}, ${unsent ?? "unknown"} unsent.`;
  const count = workers ?? workersAlive;
  if (count === 0) return [warn(CHECK, `${told} No worker polls it.`, "Start one with taskiq-aws worker start.")];
  return [ok(CHECK, told)];
}
