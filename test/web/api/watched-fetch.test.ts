/** Which looks of the page may share an answer, and what is a lost connection. */
import { describe, expect, test } from "vitest";
import { createConnection } from "../../../runtime/web/api/connection.ts";
import { watchedFetch } from "../../../runtime/web/api/watched-fetch.ts";
import { createManualClock } from "../../support/manual-clock.ts";

function harness(answer: () => Promise<Response> = async () => new Response("{}")) {
  const clock = createManualClock();
  const told: boolean[] = [];
  const shared: boolean[] = [];
  const fetch = watchedFetch({
    clock,
    onReached: (isReached) => told.push(isReached),
    fetch: async (_url, init) => {
      shared.push(new Headers(init?.headers).get("x-taskiq-shared") === "1");
      return await answer();
    },
  });
  return { clock, told, shared, fetch };
}

describe("a look of the page", () => {
  test("may share an answer, and keeps its other headers", async () => {
    let seen = new Headers();
    const fetch = watchedFetch({
      clock: createManualClock(),
      onReached: () => {},
      fetch: async (_url, init) => {
        seen = new Headers(init?.headers);
        return new Response("{}");
      },
    });
    await fetch("/v1/tasks", { headers: { authorization: "Bearer key" } });
    expect(seen.get("x-taskiq-shared")).toBe("1");
    expect(seen.get("authorization")).toBe("Bearer key");
  });

  test("shares none within three seconds of an action, and does again after that", async () => {
    const { clock, fetch, shared } = harness();
    await fetch("/v1/tasks/1/cancel", { method: "POST" });
    await clock.advance(2_900);
    await fetch("/v1/tasks/1");
    await clock.advance(200);
    await fetch("/v1/tasks/1");
    expect(shared).toEqual([false, false, true]);
  });

  test("shares none while an action is under way", async () => {
    const acted = Promise.withResolvers<Response>();
    const answers = [acted.promise, Promise.resolve(new Response("{}"))];
    const { fetch, shared } = harness(() => answers.shift() ?? Promise.reject(new Error("expected two requests")));
    const action = fetch("/v1/tasks/1/cancel", { method: "POST" });
    await fetch("/v1/tasks/1");
    acted.resolve(new Response("{}"));
    await action;
    expect(shared).toEqual([false, false]);
  });
});

describe("the connection", () => {
  test("is there when the API refuses, and away when a proxy answers for it", async () => {
    const statuses = [403, 404, 503, 200];
    const { fetch, told } = harness(async () => new Response("", { status: statuses.shift() ?? 200 }));
    for (let count = 0; count < 4; count++) await fetch("/v1/tasks");
    expect(told).toEqual([true, true, false, true]);
  });

  test("is away when nothing answers", async () => {
    const { fetch, told } = harness(() => Promise.reject(new TypeError("fetch failed")));
    await expect(fetch("/v1/tasks")).rejects.toThrow("fetch failed");
    expect(told).toEqual([false]);
  });

  test("says nothing of a request that the page itself has ended", async () => {
    const { fetch, told } = harness(() => Promise.reject(new DOMException("left", "AbortError")));
    await expect(fetch("/v1/tasks", { signal: AbortSignal.abort() })).rejects.toThrow("left");
    expect(told).toEqual([]);
  });

  test("is lost after two breaks in a row, and told once", () => {
    const connection = createConnection();
    let changes = 0;
    connection.subscribe(() => changes++);
    const seen = [false, true, false, false, false, true].map((isReached) => {
      connection.tell(isReached);
      return connection.isLost();
    });
    expect(seen).toEqual([false, false, false, true, true, false]);
    expect(changes).toBe(2);
  });
});
